"""How fast photographs are read: tools/run python tools/benchmark_photographs.py [--side=256] [--image_size=64].

Images per CPU second of `folder:` by its own stream, from JPEGs of one side to images of another, beside decoding
whole and resizing by Pillow alone, in turns, with the processor. The JPEGs are random crops of scikit-learn's two
photographs, written at quality 90.
"""

import pathlib
import statistics
import sys
import tempfile

import numpy as np
from absl import flags
from PIL import Image
from sklearn import datasets

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from pga_tf import command_line, data
from pga_tf.core import photo
from tools import measuring

FLAGS = flags.FLAGS
flags.DEFINE_integer("side", 256, "of the JPEGs [unit: pixels]")
flags.DEFINE_integer("image_size", 64, "to which they are brought [unit: pixels]")
flags.DEFINE_integer("photographs", 640, "how many there are, and how many are read in a round [unit: images]")
flags.DEFINE_integer("rounds", 3, "rounds in which the candidates take turns")
BATCH, QUALITY, SMALLEST = 64, 90, 200


def write(folder):
    pictures = [Image.fromarray(image) for image in datasets.load_sample_images().images]
    rng = np.random.default_rng(0)
    for number in range(FLAGS.photographs):
        picture = pictures[number % len(pictures)]
        side = int(rng.integers(SMALLEST, min(picture.size)))
        left, top = (int(rng.integers(0, extent - side)) for extent in picture.size)
        crop = picture.crop((left, top, left + side, top + side)).resize((FLAGS.side, FLAGS.side))
        crop.save(folder / f"{number:05d}.jpg", quality=QUALITY)


def main():
    size, count = FLAGS.image_size, FLAGS.photographs
    with tempfile.TemporaryDirectory() as folder:
        write(pathlib.Path(folder))
        source = data.load(data.DataOptions(dataset=f"folder:{folder}", image_size=size))
        paths = sorted(pathlib.Path(folder).iterdir())

        def stream():  # to its end, so that nothing is read ahead in another's time
            for split in source.readers:
                for _ in source.ordered(split, BATCH):
                    pass

        def one_thread():
            for path in paths:
                photo.read(path, (size, size, 3), crop=0)

        def pillow():
            for path in paths:
                Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BICUBIC)

        times = measuring.in_turns({"stream": stream, "read": one_thread, "pillow": pillow}, FLAGS.rounds)
        told = {"stream": "stream of folder:", "read": "files alone", "pillow": "Pillow, decoded whole"}
        print(f"{FLAGS.side} to {size} pixels on {measuring.processor()}, images per CPU second")
        for name, spent in times.items():
            speed, times_pillow = count / statistics.median(spent), 1 / measuring.ratio(times, name, "pillow")
            print(f"{told[name]:22s} {speed:6,.0f} ({times_pillow:.2f}x)", flush=True)


if __name__ == "__main__":
    command_line.run(main, usage=__doc__)
