"""The comments at the head of a flagfile have one grammar, and say of the flags below them what is true."""

import functools
import re

import pytest

from pga_tf.evaluation.protocols import PROTOCOLS
from tests import test_flags

FIELDS = ("Paper", "Table", "Command", "Evaluate", "Protocol", "Published", "Ours", "Hardware", "Time")
FIELD = re.compile(rf"# ({'|'.join(FIELDS)}):( *)(.*)")
WIDTH = len("# Published: ")
TITLE = re.compile(r"# (?P<method>.+?) on (?P<dataset>[^,:]+)(?:, (?P<details>[^:]+))?: (?P<settings>[^:]+)\.")
SETTINGS = re.compile(
    r"(?:published settings|settings of the released code)(?: but for .+, which (?:is|are) ours)?"
    r"|ours(?: but for .+, which (?:is|are) (?:published|the released code's))?(?:, aiming at .+)?"
)
OF_OURS = re.compile(r"\bours\b|\bassumed\b|\b(?:prints no|not print|does not (?:say|print)|not on record|not known)\b")


def plain_rae(v):
    return (v["method"], v.get("regulariser")) == ("rae", "none")


# what comes before "on" in a title, where it is not the method's name: the flags that such a row has
METHODS = {
    "AE": lambda v: v["method"] == "ae" or (plain_rae(v) and not v["weight_code"]),
    "RAE": lambda v: plain_rae(v) and v["weight_code"] > 0,
    "RAE-L2": lambda v: (v["method"], v["regulariser"]) == ("rae", "l2"),
    "RAE-SN": lambda v: (v["method"], v["regulariser"]) == ("rae", "spectral_norm"),
    "RAE-GP": lambda v: (v["method"], v["regulariser"]) == ("rae", "gradient_penalty"),
    "VAE": lambda v: v["method"] == "vae" and not v["posterior_stddev"] and not v["prior"],
    "CV-VAE": lambda v: v["method"] == "vae" and v["posterior_stddev"] > 0,
    "Two-stage VAE": lambda v: (v["method"], v["prior"], v["likelihood"]) == ("vae", "second_vae", "learned_gamma"),
    "Prior-free model": lambda v: (v["method"], v["prior"]) == ("prior_free", "latent_map") and v["latent_batch_norm"],
    "ACAI": lambda v: v["method"] == "prior_free" and not v["latent_batch_norm"],
    "AAE": lambda v: v["method"] == "wae", "SWAE": lambda v: v["method"] == "wae",
    "InfoVAE": lambda v: v["method"] == "wae", "IntroVAE": lambda v: "intro" in v["method"],
}  # fmt: skip
DATASETS = {
    "MNIST": "tfds:mnist", "Fashion-MNIST": "tfds:fashion_mnist", "CIFAR-10": "tfds:cifar10", "CelebA": "tfds:celeb_a",
    "digits": "digits", "scikit-learn's digits": "digits", "the Swiss roll": "toy2d:swiss_roll",
    "a Swiss roll": "toy2d:swiss_roll", "eight Gaussians": "toy2d:eight_gaussians",
}  # fmt: skip
# a score with what its error is an error of, over trainings where there are several; or why there is none
NUMBER = r"\d[\d.]*(?:e[+-]?\d+)?"
SCORE = (
    rf"\w[\w ]* {NUMBER}(?: \+- {NUMBER} \((?:[^()]+; )?standard error over \d+ trainings\)"
    rf"| \((?:[^()]+; )?one training(?:, to {NUMBER} over seeds of samples)?\))"
)
STEPS = r"[\d,]+ steps of \d+ images"
LENGTH = rf"(?:about [\d.]+ (?:s|min|h|days) of training on \d+ CPU cores \({STEPS}\)|{STEPS})"
OURS = re.compile(
    rf"{SCORE}|no score: \S.+"
    rf"|(?:not measured: \S.+|not measured at these settings: {LENGTH})(?:; at the laptop budget {SCORE})?"
)
# words of a title's details and the flags that they speak of
DETAILS = {
    r"(\d+) crop": lambda v, found: v["crop"] == int(found[1]),
    r"learned gamma": lambda v, _: v["likelihood"] == "learned_gamma",
    r"gamma fixed at 1": lambda v, _: (v["likelihood"], v["gamma"]) == ("fixed_gamma", 1.0),
    r"cross entropy": lambda v, _: v["likelihood"] == "cross_entropy",
    r"InfoGAN's networks": lambda v, _: v["network"] == "infogan",
    r"networks of WAE": lambda v, _: v["network"] == "wae",
    r"ScaleBlock": lambda v, _: v["network"] == "scale_resnet",
    r"SN-GAN's": lambda v, _: v["network"] in ("sngan_64", "resnet_32"),
    r"of (\d+) filters": lambda v, found: v["filters"] == int(found[1]),
    r"a = b = 0": lambda v, _: v.get("weight_lr_n") == v.get("weight_lr_h") == 0,
}
PATHS = {path.stem: path for path in test_flags.FLAGFILES}


def parted(text):
    """(title, remarks, fields as a list of (name, padding, text), rest) of a flagfile."""
    lines = text.splitlines()
    head = [line for line in lines if line.startswith("#")]
    assert lines[: len(head)] == head, "comments go before the flags"
    found = [FIELD.fullmatch(line) for line in head]
    first = next((i for i, match in enumerate(found) if match), len(head))
    assert all(found[first:]), f"no field: {[line for line, match in zip(head, found, strict=True) if not match][1:]}"
    return head[0], head[1:first], [match.groups() for match in found[first:]], lines[len(head) :]


@functools.cache
def values_of(path):
    values = test_flags._values(f"--flagfile={path}")
    config = test_flags.flags.config_from_flags(values)
    fit, own = test_flags.flags.prior_from_flags(values)
    return config.values() | {"prior": fit.prior} | (vars(own) if own else {})


def check(stem, text, values):
    """Raises `AssertionError` for the header of flagfiles/`stem`.flags that says what is not so."""
    title, remarks, parts, _ = parted(text)
    assert [name for name, _, _ in parts] == list(FIELDS)
    assert all(len(f"# {name}:{padding}") == WIDTH and told for name, padding, told in parts)
    fields = {name: told for name, _, told in parts}
    assert all(re.fullmatch(r"# \S.*\S", line) for line in remarks)
    assert not remarks or remarks[-1].endswith("."), "remarks are whole sentences"
    check_title(title, remarks, values)
    check_commands(stem, fields)
    assert re.fullmatch(r"none; .+|.+ (?:19|20)\d\d", fields["Paper"])
    cited = not fields["Paper"].startswith("none")
    assert cited or fields["Published"].startswith("none"), "a score without a paper"
    assert re.search(r"(?:FID|MSE|accuracy) [\d.]+", fields["Published"]) or re.match(r"none.* .+", fields["Published"])
    assert not (cited and fields["Published"].startswith("FID")) or fields["Table"] != "none", "a score from nowhere"
    assert OURS.fullmatch(fields["Ours"]), fields["Ours"]
    assert fields["Hardware"] in (
        ("one GPU", "2 CPU cores") if values["dataset"].startswith("tfds:") else ("2 CPU cores",)
    )
    for other in re.findall(r"\b(\w+)\.flags\b", " ".join(remarks)):
        assert other in PATHS.keys() - {stem}


def check_title(title, remarks, values):
    found = TITLE.fullmatch(title)
    assert found, f"no METHOD on DATASET: SETTINGS. in {title}"
    name, plain = found["method"], lambda text: re.sub(r"\W|_", "", text).lower()
    parts = [plain(part) for part in values["method"].split("_")]
    named = METHODS.get(name, lambda _: all(part in plain(name) for part in parts))
    assert named(values), f"{name} is not --method={values['method']} with these flags"
    assert DATASETS.get(found["dataset"]) == values["dataset"]
    for words, holds in DETAILS.items():
        for match in re.finditer(words, found["details"] or ""):
            assert holds(values, match), match[0]
    settings = SETTINGS.fullmatch(found["settings"])
    assert settings, f"whose settings? {found['settings']}"
    if found["settings"] in ("published settings", "settings of the released code"):
        told = [remark for remark in remarks if OF_OURS.search(remark)]
        assert not told, "published settings, but"


def check_commands(stem, fields):
    assert fields["Command"] == f"tools/run python -m pga_tf.train --flagfile=flagfiles/{stem}.flags"
    asked = re.fullmatch(r"tools/run python -m pga_tf\.evaluate (.+)", fields["Evaluate"])
    assert asked
    given = dict(re.findall(r"--(\w+)=(\S+)", asked[1]))
    assert asked[1] == " ".join(f"--{flag}={value}" for flag, value in given.items())
    assert given["workdir"] == f"runs/{stem}"  # where the command above leaves its run
    named = re.findall(rf"\b(?:{'|'.join(PROTOCOLS)})\b", fields["Protocol"])
    assert [given["protocol"]] == named[:1]


@pytest.mark.parametrize("stem", PATHS)
def test_a_header_says_what_the_flags_below_it_are(stem):
    check(stem, PATHS[stem].read_text(), values_of(PATHS[stem]))


# (flagfile, what its header has, what it must not have in its place)
WRONG = [
    ("lpga_mnist", "# LPGA on", "# VPGA on"),
    ("lpga_mnist", "on MNIST", "on CIFAR-10"),
    ("lpga_mnist", ": published settings.", "."),
    ("lpga_mnist", "published settings", "settings"),
    ("lpga_mnist", "# Paper:", "# The warm-up is ours.\n# Paper:"),
    ("lpga_mnist", "# Paper:", "# a remark\n# Paper:"),
    ("lpga_mnist", "flagfiles/lpga_mnist.flags", "flagfiles/vpga_mnist.flags"),
    ("lpga_mnist", "runs/lpga_mnist", "runs/lpga"),
    ("lpga_mnist", "--protocol=pga", "--protocol=ours"),
    ("lpga_mnist", "# Protocol:  pga", "# Protocol:  dai_wipf"),
    ("lpga_mnist", "# Protocol:  pga; FID by", "# Protocol:  FID by"),
    ("lpga_mnist", "# Table:     table 1", "# Table:     none"),
    ("lpga_mnist", "# Ours:", "# Hours:"),
    ("lpga_mnist", "# Ours:      ", "# Ours: "),
    ("lpga_mnist", "# Hardware:", "# Ours:      1\n# Hardware:"),
    ("lpga_celeba", "# Ours:      not measured", "# Ours:      not yet measured"),
    ("lpga_celeba", "not measured: CelebA is not at hand on the machine of the ledger", "not measured"),
    ("mmd_pga_digits", "standard error over 3 trainings", "standard error"),
    ("mmd_pga_digits", "20.6 +- 1.0", "20.6"),
    ("began_gan_digits", "one training, to", "to"),
    ("lpga_mnist", "# Published: FID 10.34 +- .15 (5,000 samples; ", "# Published: ("),
    ("vpga_digits", "# Published: none; the data set is ours", "# Published: none"),
    ("lpga_mnist", "# Hardware:  one GPU", "# Hardware:  a GPU"),
    ("lpga_digits", "# Hardware:  2 CPU cores", "# Hardware:  one GPU"),
    ("lpga_mnist", "--protocol=pga", "--protocol=pga, the nearest"),
    ("lpga_mnist", "--seed", "# Time:"),
    ("lpga_mnist_fast", "lpga_mnist.flags.", "lpga_minst.flags."),
    ("lpga_celeba", "108 crop", "140 crop"),
    ("lpga_celeba140", "128 filters", "64 filters"),
    ("rae_l2_mnist", "RAE-L2 on", "RAE-SN on"),
    ("ae_cited_mnist", "# AE on", "# RAE on"),
    ("vae_cv_mnist", "# CV-VAE on", "# VAE on"),
    ("two_stage_vae_mnist", "# Two-stage VAE on", "# VAE on"),
    ("vae_learned_gamma_mnist", "learned gamma", "cross entropy"),
    ("two_stage_vae_celeba_wae", "networks of WAE", "ScaleBlock networks"),
    ("vae_mnist", " but for gamma, which is ours.", "."),
    ("ae_mnist", "# Published: none; the settings are ours", "# Published: FID 3.2"),
]  # fmt: skip


@pytest.mark.parametrize(("stem", "has", "wrong"), WRONG)
def test_a_header_that_says_another_thing_is_found(stem, has, wrong):
    text, values = PATHS[stem].read_text(), values_of(PATHS[stem])
    if has == "--seed":  # a field among the flags
        text += f"{wrong} 1 minute\n"
    else:
        assert has in text
        text = text.replace(has, wrong, 1)
    with pytest.raises(AssertionError):
        check(stem, text, values)
