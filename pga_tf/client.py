"""Asks a served model: python -m pga_tf.client --target=localhost:8500 sample --seeds=0:16 --out=grid.png."""

import pathlib
import re
import sys

import numpy as np
from absl import flags as absl_flags

from pga_tf import command_line
from pga_tf.core import checks, commands, files, grids, photo
from pga_tf.core import pictures as pictures_lib
from pga_tf.serving import inputs
from pga_tf.serving.remote import Remote

USAGE = """python -m pga_tf.client [--target=localhost:8500] [--model=lpga_digits] [--rest] VERB ...

  sample      --seeds=0:16 --out=FILE     images; number i depends on seed i alone
  reconstruct --images=PATH --out=FILE    each image beside what is left of it after the way through the code
  interpolate --images=PATH --out=FILE    rows of --steps images, from images 1 to 2, 3 to 4, ...
  encode      --images=PATH [--out=FILE]  codes, as a table or an .npz
  score       --images=PATH [--out=FILE]  how badly each image is reconstructed, and how likely its code is: an anomaly
                                          has a large reconstruction_error or a small log_prior
  decode      --codes=FILE --out=FILE     images of codes [N, D], in an .npz that encode wrote, or an .npy
  status                                  versions of the model and what they can be asked

FILE is a grid (.png) or arrays (.npz). PATH is a folder, files (a.png,b.png), or an .npz or .npy, of the size that the
model was trained on. Servers: docs/serving.md."""

FLAGS = absl_flags.FLAGS
INPUT_OF = {
    "sample": "seeds",
    "reconstruct": "images",
    "interpolate": "images",
    "encode": "images",
    "score": "images",
    "decode": "codes",
    "status": None,
}
PRINTED = ("encode", "score", "status")  # need no --out
MOST_IN_A_GRID = 10_000


def define_flags(flag_values=FLAGS):
    def define(kind, name, default, text, **limits):
        getattr(absl_flags, f"DEFINE_{kind}")(name, default, text, flag_values=flag_values, **limits)

    define("string", "target", None, "HOST:PORT of the server; default localhost:8500, with --rest localhost:8501")
    define("boolean", "rest", False, "talk HTTP instead of gRPC")
    define("string", "model", "lpga_digits", "name of the model on the server")
    define("integer", "version", None, "version of the model; default the latest", lower_bound=0)
    define("string", "label", None, "version by its label, such as stable or canary")
    define("float", "timeout", 10.0, "for each request of up to 64 images, with retries [unit: seconds]")
    define("string", "seeds", None, "A:B (A to B - 1) or a list A,B,...")
    define(
        "string",
        "images",
        None,
        "folder, image files, .npz or .npy, with commas between them; what exists may have commas in its own name",
    )
    define(
        "string",
        "value_range",
        "",
        "LOW,HIGH: stored values that are black and white, in files of more than 8 bits and in arrays; default: "
        "0,65535 for 16 bits, 0,1 for floats",
    )
    define("string", "codes", None, ".npz that encode wrote (array codes), or .npy, of codes [N, D]")
    define("integer", "steps", 8, "images in a row of interpolate", lower_bound=2)
    define("string", "out", None, "file to write: .png or .npz")


def main(arguments, values=FLAGS):
    """Runs one verb. Everything that can be known without the server is checked before it is asked."""
    verb = _verb(arguments)
    _require_place(values)
    _require_out(verb, values.out)
    content, names = _input(verb, values)
    target = values.target or ("localhost:8501" if values.rest else "localhost:8500")
    with Remote(
        target,
        values.model,
        version=values.version,
        label=values.label,
        rest=values.rest,
        timeout=values.timeout,
    ) as model:
        if verb == "status":
            return _status(model, f"{values.model} on {target}")
        signature = model.signature(verb)
        if INPUT_OF[verb] == "images":
            content = inputs.in_colours(content, next(iter(signature.inputs.values())).shape[-1])
        arrays, grid, columns = _ask(model, verb, content, values.steps)
    if values.out is None:
        _print_table(arrays, names)
    elif values.out.endswith(".png"):
        grids.write_png(values.out, _picture(grid, columns))
        print(pictures_lib.shown(values.out))
    else:
        with files.replacing(values.out) as file:
            np.savez_compressed(file, **arrays)
        print(
            f"{pictures_lib.shown(values.out)}: "
            + ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        )
    return 0


def _ask(model, verb, content, steps):
    """(arrays by name, images for a grid or None, columns of that grid or None)."""
    if verb == "sample":
        images = model.sample(content)
        return {"seeds": content, "images": images}, images, None
    if verb == "decode":
        images = model.decode(content)
        return {"codes": content, "images": images}, images, None
    if verb == "encode":
        return {"codes": model.encode(content)}, None, None
    if verb == "score":
        found = model.score(content)
        return {key: found[key] for key in ("reconstruction_error", "log_prior") if key in found}, None, None
    if verb == "reconstruct":
        restored = model.reconstruct(content)
        pairs = np.stack([content, restored], axis=1).reshape(-1, *content.shape[1:])
        return {"images": content, "reconstructions": restored}, pairs, min(16, len(pairs))
    a, b = content[0::2], np.roll(content, -1, axis=0)[0::2]  # the last of an odd number goes to the first
    t = np.tile(np.linspace(0.0, 1.0, steps, dtype=np.float32), len(a))
    images = model.interpolate(a.repeat(steps, axis=0), b.repeat(steps, axis=0), t)
    return {"images": images, "t": t}, images, steps


def _verb(arguments):
    if len(arguments) != 1:
        checks.refuse(
            "Command line",
            expected=f"one verb of {', '.join(INPUT_OF)}",
            received=" ".join(arguments) or "none",
            remedy=f"write, for instance, {commands.line('client sample', seeds='0:16', out='grid.png')}",
        )
    checks.require_member("Verb", arguments[0], INPUT_OF)
    return arguments[0]


def _require_place(values):
    """The server's address and the model's version make sense."""
    if values.target is not None:
        found = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+):(\d{1,5})", values.target)
        if not found or not 0 < int(found[2]) < 2**16:
            checks.refuse(
                "--target",
                expected="HOST:PORT",
                received=values.target,
                remedy="write it as localhost:8500, no http://",
            )
    if values.version is not None and values.label is not None:
        checks.refuse("--version and --label", expected="one of them", received="both", remedy="leave one out")
    if not 0 < values.timeout < 1e6:
        checks.refuse("--timeout", expected="seconds > 0", received=values.timeout, remedy="try --timeout=10")


def _require_out(verb, out):
    if out is None:
        if verb not in PRINTED:
            checks.refuse("--out", expected="a .png or .npz file", received="none", remedy="pass --out=FILE.png")
        return
    endings = (".npz",) if verb in PRINTED else (".png", ".npz")
    if verb == "status" or pathlib.Path(out).suffix not in endings:
        expected = "no file: status is printed" if verb == "status" else f"a file that ends in {' or '.join(endings)}"
        checks.refuse(f"--out with {verb}", expected=expected, received=out, remedy="rename it or leave it out")
    if pathlib.Path(out).is_dir():
        checks.refuse("--out", expected="a file", received=f"{out}, a folder", remedy="name a file in it")
    if not pathlib.Path(out).parent.is_dir():
        checks.refuse("--out", expected="a file in a folder that exists", received=out, remedy="make the folder")


def _input(verb, values):
    """(what is to be sent, names of its rows or None)."""
    wanted = INPUT_OF[verb]
    for name in ("seeds", "images", "codes"):
        given = values[name].value
        if given and name != wanted:
            expected = f"--{wanted}" if wanted else "no input"
            checks.refuse(f"--{name} with {verb}", expected=expected, received=f"--{name}", remedy="leave it out")
        if not given and name == wanted:
            checks.refuse(f"Verb {verb}", expected=f"--{name}", received="none", remedy=f"pass --{name}=...")
    if wanted == "seeds":
        return _in_a_grid(inputs.seeds(values.seeds), values.out), None
    if wanted == "codes":
        return _in_a_grid(inputs.codes(values.codes), values.out), None
    if wanted == "images":
        value_range = photo.parse_range(values.value_range) if values.value_range else None
        pictures = inputs.images(inputs.paths(values.images), value_range)
        for line in pictures.told:
            print(line, file=sys.stderr)
        if verb == "interpolate" and len(pictures.names) < 2:
            checks.refuse("--images", expected="two or more images", received="one", remedy="name another beside it")
        return pictures, pictures.names
    return None, None


def _in_a_grid(rows, out):
    if out.endswith(".png") and len(rows) > MOST_IN_A_GRID:
        checks.refuse(
            "--out",
            expected=f"up to {MOST_IN_A_GRID} images in a grid",
            received=f"{len(rows)}",
            remedy="write an .npz, or ask for fewer",
        )
    return rows


def _picture(images, columns):
    if grids.is_points(images.shape[1:]):
        return grids.scatter(2.0 * images - 1.0)
    return grids.tile(np.uint8(np.rint(np.clip(images, 0.0, 1.0) * 255.0)), columns)


def _print_table(arrays, names):
    """A line for each image: its numbers, then its name. `codes` have a column for each dimension."""
    columns = {}
    for name, array in arrays.items():
        if array.ndim == 1:
            columns[name] = array
        else:
            columns |= {f"z{i}": column for i, column in enumerate(array.T)}
    width = max(12, *(len(name) for name in columns))
    print("  ".join([*(name.rjust(width) for name in columns), "image"]))
    for row, name in zip(zip(*columns.values(), strict=True), names, strict=True):
        print("  ".join([*(f"{value:.6g}".rjust(width) for value in row), pictures_lib.shown(name)]))


def _status(model, what):
    versions = model.status().model_version_status
    print(what)
    for entry in versions:
        reason = f" ({entry.status.error_message})" if entry.status.error_code else ""
        print(f"  version {entry.version}: {type(entry).State.Name(entry.state)}{reason}")
    if any(entry.state == type(entry).AVAILABLE for entry in versions):
        listed = lambda tensors: ", ".join(f"{name} {tensor}" for name, tensor in tensors.items())
        for name, signature in sorted(model.signatures.items()):
            print(f"  {name}: {listed(signature.inputs)} -> {listed(signature.outputs)}")
    return 0


if __name__ == "__main__":
    define_flags()
    command_line.run(main, usage=USAGE, arguments=True)
