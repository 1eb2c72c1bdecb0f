"""Keeps a screen as text and as a picture: build outputs to be looked at, not references."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.editors.neovim import Screen

FONTS = ("DejaVuSansMono.ttf", "LiberationMono-Regular.ttf")
SIZE = 16


def save(screen: Screen, path: Path) -> None:
    """Write ``path.txt`` and, if Pillow is installed, ``path.png``."""
    path.with_name(path.name + ".txt").write_text(screen.text() + "\n")
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        return
    font = None
    for name in FONTS:
        try:
            font = ImageFont.truetype(name, SIZE)
            break
        except OSError:
            continue
    font = font or ImageFont.load_default(SIZE)
    width, height = round(font.getlength("M")), SIZE + 4
    ground = colour(screen.colours.get("background", 0))
    image = Image.new("RGB", (width * screen.width, height * screen.height), ground)
    pen = ImageDraw.Draw(image)
    for y, row in enumerate(screen.cells):
        for x, cell in enumerate(row):
            rgb = screen.attributes.get(cell.highlight, {})
            fg = colour(rgb.get("foreground", screen.colours.get("foreground", 0xFFFFFF)))
            bg = colour(rgb.get("background", screen.colours.get("background", 0)))
            if rgb.get("reverse") or (y, x) == screen.cursor:
                fg, bg = bg, fg
            box = (x * width, y * height, (x + 1) * width, (y + 1) * height)
            if bg != ground:
                pen.rectangle(box, fill=bg)
            pen.text(box[:2], cell.text, font=font, fill=fg)
    image.save(path.with_name(path.name + ".png"))


def colour(number: int) -> tuple[int, int, int]:
    """An RGB triple."""
    return (number >> 16) & 255, (number >> 8) & 255, number & 255
