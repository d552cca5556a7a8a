"""One image file to one array, with PIL: whatever the mode, the size and the way the camera was held."""

import numpy as np
from PIL import Image, ImageOps

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap height and width
_ORIENTATION = 0x0112


def header(path):
    """((height, width) as the image is to be seen, whether it is in colour), without decoding pixels."""
    with Image.open(path) as image:
        width, height = image.size
        if image.getexif().get(_ORIENTATION) in _SIDEWAYS:
            width, height = height, width
        return (height, width), not (image.mode in ("1", "L", "LA", "La") or image.mode.startswith(("I", "F")))


def decode(path, shape, *, crop):
    """The file's (first) picture as uint8 `[H, W, C]` of `shape`: upright, on white, cropped and resized.

    A square `shape` other than the picture's own is made from its centre, of side `crop` or else the largest,
    by bicubic resizing with antialiasing.

    Raises:
      ValueError: smaller than the crop, float pixels. OSError and others, from PIL: a damaged file.
    """
    height, width, channels = shape
    with Image.open(path) as image:
        if not crop and height == width:
            # A JPEG far too large is decoded at 1/2, 1/4 or 1/8, at least three times what is asked for.
            image.draft(None, (3 * width, 3 * height))
        image.load()
        upright = ImageOps.exif_transpose(image)
    picture = _flat(upright).convert("L" if channels == 1 else "RGB")
    if crop or picture.size != (width, height):
        picture = _resized_centre(picture, crop, (width, height))
    pixels = np.asarray(picture)
    return pixels[..., None] if channels == 1 else pixels


def _resized_centre(picture, crop, size):
    side = crop or min(picture.size)
    if side > min(picture.size):
        raise ValueError(f"{picture.height} x {picture.width} pixels, smaller than --crop={crop}")
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    picture = picture.crop((left, top, left + side, top + side))
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC)


def _flat(image):
    """Without transparency (on white), with 8 bits per channel."""
    if image.mode == "F":
        raise ValueError("float pixels, whose range is not known; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        # PIL clips 16 bits at 255 or drops the low byte, depending on the mode.
        grey = np.clip(np.asarray(image, np.float32), 0, 65535) / 257
        return Image.fromarray(np.round(grey).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image)
    return image
