"""One image file to one array, with PIL: whatever the mode, the depth, the size and the way the camera was held."""

import contextlib
import dataclasses
import math
import threading
import warnings

import numpy as np
from PIL import Image, ImageOps

from pga_tf.core import checks, memory, tf1_bicubic

# Formats that people keep pictures in. Pillow knows more: programs to run (EPS), icons, textures, scientific data.
FORMATS = (
    "JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM", "TGA", "PCX", "SGI", "PSD", "QOI",
)  # fmt: skip
# As Pillow registers them for these formats, less two that mean other things too (.rgb, .rgba).
EXTENSIONS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff",
    ".avif", ".avifs", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".tga",
    ".icb", ".vda", ".vst", ".pcx", ".sgi", ".bw", ".psd", ".qoi",
)  # fmt: skip
RESIZES = ("bicubic", "bilinear", "tf1_bicubic")  # ways to bring a picture to another size
_PILLOWS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}  # both antialias
SIXTEEN_BITS = 65535
DRAFT = 2  # a large JPEG is decoded at no less than so many times the side that is asked for
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap height and width
_ORIENTATION = 0x0112
_EXTRA_SAMPLES, _SAMPLE_FORMAT, _UNSIGNED = 338, 339, 1  # of TIFF
_ALPHAS = (1, 2)  # ExtraSamples that are transparency
_COPIES = 3  # that decoding, conversion and cropping hold at the same time
_LARGE = 2**26  # bytes; what takes more is decoded alone
_ALONE = threading.Lock()

# Pillow's own limit takes a satellite's scene for an attack, on any machine; `_room` has one for this machine.
Image.MAX_IMAGE_PIXELS = None
# What is wrong with a file is told by whoever reads it, once.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclasses.dataclass(frozen=True)
class Picture:
    """What a file became, and what was done to it that its owner should know.

    Attributes:
      pixels: uint8 `[H, W, C]`.
      deep: (lowest, highest stored value, stands for) of more than 8 bits: those that stand for 0 and 255, or None.
      clipped: whether values lay outside `value_range`.
      transparent: whether some pixel was put on white. left_out: bands beyond three that were left out.
      frames: number of frames or pages, of which this is the first.
    """

    pixels: np.ndarray
    deep: tuple[float, float, tuple[float, float]] | None = None
    clipped: bool = False
    transparent: bool = False
    left_out: int = 0
    frames: int = 1

    def facts(self) -> dict:
        """What was done, by name, as plain values; empty for most pictures, to which nothing was."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "pixels"]
        plain = Picture(None)
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(plain, name)}


def header(path):
    """((height, width) as the image is to be seen, whether it is in colour), without decoding pixels."""
    with Image.open(path, formats=FORMATS) as image:
        width, height = image.size
        if _orientation(image) in _SIDEWAYS:
            width, height = height, width
        return (height, width), not (image.mode in ("1", "L", "LA", "La") or image.mode.startswith(("I", "F")))


def decode(path, shape, *, crop, resize="bicubic", value_range=None):
    """The file's (first) picture as uint8 `[H, W, C]` of `shape`: upright, on white, cropped and resized.

    A square `shape` other than the picture's own is made from its centre, of side `crop` or else the largest. A large
    JPEG is decoded at 1/2, 1/4 or 1/8 before, if resizing antialiases.

    Args:
      resize: one of `RESIZES`: bicubic or bilinear, antialiased, or as TensorFlow 1 did it (`tf1_bicubic`).
      value_range: (low, high) stored values that become 0 and 255 in pictures of more than 8 bits; what lies outside is
        clipped. Without it [0, 65535] is taken, and pictures with other values are refused.

    Raises:
      ValueError: smaller than the crop, more pixels than this machine's memory holds, or values whose range is not
        known. OSError and others, from PIL: a damaged file.
    """
    return read(path, shape, crop=crop, resize=resize, value_range=value_range).pixels


def read(path, shape, *, crop, resize="bicubic", value_range=None, frames=False):
    """As `decode`, but a `Picture`. `frames`: whether to count them too, for which some files are read to their end."""
    height, width, channels = shape
    with Image.open(path, formats=FORMATS) as image:
        if not crop and height == width and resize in _PILLOWS:
            image.draft(None, (DRAFT * width, DRAFT * height))
        with _room(image):
            count = _frames(image) if frames else 1
            deep_colour = is_deep(image)  # told by what is to be read
            image.load()
            flat, facts = _flat(_upright(image), image, value_range, deep_colour)
            picture = flat.convert("L" if channels == 1 else "RGB")
            if crop or picture.size != (width, height):
                picture = _resized_centre(picture, crop, (width, height), resize)
            pixels = np.asarray(picture)
    return Picture(pixels[..., None] if channels == 1 else pixels, frames=count, **facts)


@contextlib.contextmanager
def _room(image):
    """Lets one large picture be decoded at a time, and refuses one for which there is no memory."""
    width, height = image.size
    # Every channel of a deep picture is a float on its way.
    needed = width * height * (4 if image.mode[0] in "IF" else 1) * len(image.getbands()) * _COPIES
    if needed <= _LARGE:
        yield
        return
    with _ALONE:
        free = memory.available()
        if needed > free:
            taken = f"which take {memory.text(needed)} of memory, and {memory.text(free)} are free"
            raise ValueError(f"{height} x {width} pixels, {taken}")
        yield


def _frames(image):
    """Number of frames or pages; of a camera's MPO, whose others are previews, and of a damaged file 1."""
    try:
        count = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        image.seek(0)
    except Exception:  # PIL answers damaged files with errors of many types; the first one may be whole
        return 1
    return count


def _orientation(image):
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # damaged EXIF, for which PIL has many errors: the picture is there all the same
        return None


def _upright(image):
    return ImageOps.exif_transpose(image) if _orientation(image) not in (None, 1) else image


def _resized_centre(picture, crop, size, resize):
    side = crop or min(picture.size)
    if side > min(picture.size):
        raise ValueError(f"{picture.height} x {picture.width} pixels, smaller than --crop={crop}")
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    picture = picture.crop((left, top, left + side, top + side))
    if picture.size == size:
        return picture
    if resize in _PILLOWS:
        return picture.resize(size, _PILLOWS[resize])
    pixels = tf1_bicubic.resize(np.asarray(picture), size[::-1])
    return Image.fromarray(np.rint(np.clip(pixels, 0, 255)).astype(np.uint8))


def _flat(image, stored, value_range, deep_colour):
    """(without transparency, on white, and with 8 bits per channel; what `Picture` says of that)."""
    if image.mode[0] in "IF":
        return _eight_bits(image, stored, value_range)
    facts = {}
    if deep_colour:
        if value_range:
            raise ValueError("16 bits in colour, of which Pillow reads the upper 8; store such images in an .npz file")
        low, high = (257 * value for value in _extremes(image))
        facts["deep"] = (low, high, (0, SIXTEEN_BITS))
    if image.mode in ("RGBA", "RGBa", "RGBX") and stored.format == "TIFF" and not _has_alpha(image, stored):
        return Image.merge("RGB", image.split()[:3]), facts | {"left_out": 1}
    if not image.has_transparency_data:
        return image, facts
    image = image.convert("RGBA")
    facts["transparent"] = image.getchannel("A").getextrema()[0] < 255
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image), facts


def _has_alpha(image, stored):
    """Whether the fourth band of a TIFF is transparency: said to be, and mostly all or nothing; infrared is not."""
    if not set(stored.tag_v2.get(_EXTRA_SAMPLES, ())) & set(_ALPHAS):
        return False
    histogram = image.getchannel(3).histogram()
    return 2 * (histogram[0] + histogram[255]) >= sum(histogram)


def is_deep(stored):
    """Whether a picture that was opened, and not read yet, has 16 bits in colour, of which PIL reads the upper 8."""
    return stored.format in ("PNG", "TIFF", "PPM") and any(";16" in str(tile.args) for tile in stored.tile)


def _extremes(image):
    extrema = image.getextrema()
    pairs = extrema[:3] if isinstance(extrema[0], tuple) else [extrema]
    return min(low for low, _ in pairs), max(high for _, high in pairs)


def _eight_bits(image, stored, value_range):
    values = np.asarray(image)
    if values.dtype == np.int32 and stored.format == "TIFF" and _is_unsigned(stored):
        values = values.view(np.uint32)  # PIL has no such mode, and wraps them
    if not np.isfinite(values).all():
        raise ValueError("NaN or infinity among its values")
    low, high = float(values.min()), float(values.max())
    if not value_range:
        if image.mode == "F":
            raise ValueError(f"float values in [{low:g}, {high:g}], whose range is not known; {_remedy(low, high)}")
        if low < 0 or high > SIXTEEN_BITS:
            raise ValueError(f"values in [{low:g}, {high:g}], beyond those of 16 bits; {_remedy(low, high)}")
    least, most = value_range or (0, SIXTEEN_BITS)
    unit = (np.clip(values.astype(np.float64), least, most) - least) / (most - least)
    grey = Image.fromarray(np.round(255 * unit).astype(np.uint8))
    return grey, {"deep": (low, high, (least, most)), "clipped": low < least or high > most}


def _is_unsigned(stored):
    return stored.tag_v2.get(_SAMPLE_FORMAT, (_UNSIGNED,)) == (_UNSIGNED,)


def _remedy(low, high):
    return f"pass --value_range={likely_range(low, high)}, or the range that all of them share"


def likely_range(low: float, high: float) -> str:
    """LOW,HIGH of whole bits where there are no negative values, else what was seen."""
    if low < 0 or high < 2:
        return f"{low:.12g},{max(high, low + 1):.12g}"
    return f"0,{2 ** int(high).bit_length() - 1}"


def parse_range(text: str) -> tuple[float, float]:
    """(low, high) of "LOW,HIGH". Raises `InputError` for what is not two finite numbers, the lower one first."""
    try:
        low, high = map(float, text.split(","))
        if not (math.isfinite(high - low) and low < high):
            raise ValueError
    except ValueError:
        checks.refuse(
            "--value_range",
            expected="two numbers LOW,HIGH, the lower one first",
            received=repr(text),
            remedy="write --value_range=0,4095, for instance",
        )
    return low, high
