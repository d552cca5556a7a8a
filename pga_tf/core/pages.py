"""Pages that open offline: Jinja templates around one design, with every picture and plot in the file itself."""

import base64
import functools
import io

import jinja2
import markupsafe
import numpy as np
from PIL import Image

SHOWN_WIDTH = 880  # pictures are enlarged by whole factors up to this width [CSS pixels]
LARGEST_FACTOR = 3


@functools.cache
def _environment(package):
    # The design lies here: base.html, style.css and the macros.
    loaders = [jinja2.PackageLoader(name) for name in dict.fromkeys((package, __package__))]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["typeset"] = lambda text: text.replace("+- ", "±\N{NO-BREAK SPACE}")
    return environment


def render(package: str, template: str, **values) -> str:
    """A page of `template`, of the folder `templates` of `package`, which extends `base.html` of this package.

    Args:
      values: what the template shows. Texts are escaped; what is HTML already comes as `markupsafe.Markup`.

    Raises `jinja2.UndefinedError` where the template names a value that is not given.
    """
    page = _environment(package).get_template(template).render(**values)
    return page.encode("utf-8", "replace").decode()  # names of files need not be UTF-8, and a page must be


def picture(image: np.ndarray, alt: str) -> markupsafe.Markup:
    """A uint8 image `[H, W, 1 or 3]` as an `<img>` that holds it; a small one is enlarged, pixel by pixel.

    Args:
      alt: what it shows, for who does not see it.
    """
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, format="PNG")
    height, width = image.shape[:2]
    factor = max(1, min(LARGEST_FACTOR, SHOWN_WIDTH // width))
    kind = markupsafe.Markup(' class="pixels"') if factor > 1 else ""
    return markupsafe.Markup('<img{} alt="{}" width="{}" height="{}" src="data:image/png;base64,{}">').format(
        kind, alt, factor * width, factor * height, base64.b64encode(buffer.getvalue()).decode()
    )
