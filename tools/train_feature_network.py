"""Trains the small classifiers that pga_tf ships for offline scores, and records what they are.

    tools/run python tools/train_feature_network.py --dataset=mnist

Writes pga_tf/evaluation/feature_networks/NAME.keras and its entry in networks.json: test accuracy, hash, this command.
Labelled data: `digits` comes with scikit-learn; `mnist`,
`fashion_mnist` and `cifar10` by TensorFlow Datasets (set TFDS_DATA_DIR).
"""

import json
import pathlib
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from pga_tf import command_line
from pga_tf.core import files
from pga_tf.data import DataOptions
from pga_tf.data import load as load_source
from pga_tf.evaluation import features

# For each dataset: the stages' widths, passes over the data, augmentation, and the size in bytes that it must keep to.
# `pool` is after which convolution of a stage its max pooling stands; after the first, a stage costs a third as much.
GREY = {"pool": 2, "flip": False, "smoothing": 0.0, "weight_decay": 1e-2, "limit": 1e6}
PLANS = {
    "digits": GREY | {"widths": (32, 64), "features": 64, "epochs": 60, "shift": 1},
    "mnist": GREY | {"widths": (16, 32, 64), "features": 64, "epochs": 8, "shift": 2},
    "fashion_mnist": GREY | {"widths": (24, 48, 96), "features": 64, "pool": 1, "epochs": 14, "shift": 1, "flip": True},
    "cifar10": {
        "widths": (48, 128, 192),
        "features": 192,
        "pool": 1,
        "epochs": 14,
        "shift": 2,
        "flip": True,
        "smoothing": 0.1,
        "weight_decay": 5e-2,
        "limit": 4e6,
    },
}
FLAGS = flags.FLAGS
flags.DEFINE_enum("dataset", None, list(PLANS), "what to learn", required=True)
flags.DEFINE_integer("epochs", 0, "0: as planned for the dataset", lower_bound=0)
flags.DEFINE_integer("batch_size", 128, "images", lower_bound=1)
flags.DEFINE_float("learning_rate", 2e-3, "peak of the one-cycle schedule", lower_bound=0.0)
flags.DEFINE_integer("seed", 0, "weights, order, augmentation")
flags.DEFINE_string("out", str(features.SHIPPED), "folder to write to")


def load(name):
    """((images, labels) of train, the same of test): uint8 `[N, H, W, C]` and int `[N]`."""
    if name == "digits":
        from sklearn.datasets import load_digits

        data = load_digits()
        images = np.round(data.images * (255.0 / 16.0)).astype(np.uint8)[..., None]
        split = load_source(DataOptions(dataset="digits")).counts["train"]  # the scans that models train on too
        return (images[:split], data.target[:split]), (images[split:], data.target[split:])
    import tensorflow_datasets

    def whole(split):
        return tensorflow_datasets.load(name, split=split, as_supervised=True, batch_size=-1, download=False)

    return tuple(tuple(part.numpy() for part in whole(split)) for split in ("train", "test"))


def build(shape, plan):
    """Stages of two convolutions with batch norm and max pooling, global average, and a layer of `features` units."""
    inputs = x = keras.Input(shape)
    for width in plan["widths"]:
        for which in (1, 2):
            x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
            if plan["pool"] == which == 1:
                x = keras.layers.MaxPooling2D(2, padding="same")(x)
            x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
            if plan["pool"] == which == 2:
                x = keras.layers.MaxPooling2D(2, padding="same")(x)
    x = keras.layers.Flatten()(x) if shape[0] <= 8 else keras.layers.GlobalAveragePooling2D()(x)
    if x.shape[-1] != plan["features"]:
        x = keras.layers.ReLU()(keras.layers.Dense(plan["features"])(x))
    return keras.Model(inputs, keras.layers.Dense(10, name="logits")(keras.layers.Dropout(0.2)(x)))


def augmented(images, labels, plan, batch_size, seed):
    """Shuffled batches in [0, 1], shifted by up to `shift` pixels and mirrored where the classes allow it."""
    shift, shape = plan["shift"], images.shape[1:]

    def change(image, label, key):
        image = tf.pad(tf.cast(image, tf.float32) / 255.0, [[shift, shift], [shift, shift], [0, 0]])
        image = tf.image.stateless_random_crop(image, shape, seed=key)
        return tf.image.stateless_random_flip_left_right(image, seed=key) if plan["flip"] else image, label

    data = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images), seed=seed)
    keys = tf.data.Dataset.random(seed=seed).batch(2, drop_remainder=True)
    data = tf.data.Dataset.zip((data, keys)).map(lambda pair, key: change(*pair, key), num_parallel_calls=2)
    return data.batch(batch_size, drop_remainder=True).prefetch(2)


def main():
    plan, name = PLANS[FLAGS.dataset], FLAGS.dataset
    keras.utils.set_random_seed(FLAGS.seed)
    (x, y), (x_test, y_test) = ((images, np.eye(10, dtype=np.float32)[labels]) for images, labels in load(name))
    epochs = FLAGS.epochs or plan["epochs"]
    model = build(x.shape[1:], plan)
    steps = epochs * (len(x) // FLAGS.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=FLAGS.learning_rate, warmup_steps=steps // 5
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=plan["weight_decay"]),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=plan["smoothing"]),
        metrics=["accuracy"],
    )
    test = (x_test.astype(np.float32) / 255.0, y_test)
    model.fit(augmented(x, y, plan, FLAGS.batch_size, FLAGS.seed), epochs=epochs, verbose=2, validation_data=test)
    accuracy = model.evaluate(*test, verbose=0, batch_size=500, return_dict=True)["accuracy"]

    out = pathlib.Path(FLAGS.out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        temporary = pathlib.Path(folder) / f"{name}.keras"
        model.compile()  # no optimiser state in the file
        model.save(temporary)
        size = temporary.stat().st_size
        if size > plan["limit"]:
            raise SystemExit(f"{name}: {size} bytes, more than {plan['limit']:.0f}")
        temporary.replace(out / f"{name}.keras")
    given = [
        f"--{f.name}={f.value}" for f in FLAGS.get_key_flags_for_module(sys.argv[0]) if f.present and f.name != "out"
    ]
    record = out / "networks.json"
    entries = json.loads(record.read_text()) if record.exists() else {}
    entries[name] = {
        "sha256": features.sha256(out / f"{name}.keras"),
        "test_accuracy": round(float(accuracy), 4),
        "test_images": len(x_test),
        "features": plan["features"],
        "bytes": size,
        "command": " ".join(["tools/run python tools/train_feature_network.py", *given]),
    }
    files.write_text(record, json.dumps(dict(sorted(entries.items())), indent=2) + "\n")
    print(f"{out / name}.keras: test accuracy {accuracy:.4f}, {size} bytes, {model.count_params()} parameters")


if __name__ == "__main__":
    command_line.run(main, usage=__doc__)
