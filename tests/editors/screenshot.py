"""Keeps a screen as text and as a picture: build outputs to be looked at, not references."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageColor, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyte
    from tests.editors.neovim import Screen

FONTS = ("DejaVuSansMono.ttf", "LiberationMono-Regular.ttf")
SIZE = 16
FOREGROUND, BACKGROUND = 0xD0D0D0, 0x101010
#: What pyte calls the colours of a terminal; those that it does not name come as six digits.
NAMED = {"brown": "olive", "brightblack": "gray", "brightbrown": "yellow"}

Rgb = tuple[int, int, int]


def save(screen: Screen, path: Path) -> None:
    """Write ``path.txt`` and ``path.png`` of what a Neovim shows."""
    ground = colour(screen.colours.get("background", 0))
    ink = colour(screen.colours.get("foreground", 0xFFFFFF))
    cells = []
    for y, row in enumerate(screen.cells):
        drawn = []
        for x, cell in enumerate(row):
            rgb = screen.attributes.get(cell.highlight, {})
            fg = colour(rgb["foreground"]) if "foreground" in rgb else ink
            bg = colour(rgb["background"]) if "background" in rgb else ground
            reverse = rgb.get("reverse") or (y, x) == screen.cursor
            drawn.append((cell.text, *((bg, fg) if reverse else (fg, bg))))
        cells.append(drawn)
    _write(screen.text(), cells, ground, path)


def save_terminal(screen: pyte.Screen, path: Path) -> None:
    """The same of what a terminal shows."""
    ground, cells = colour(BACKGROUND), []
    for y in range(screen.lines):
        drawn = []
        for x in range(screen.columns):
            char = screen.buffer[y][x]
            fg, bg = terminal_colour(char.fg, FOREGROUND), terminal_colour(char.bg, BACKGROUND)
            reverse = char.reverse or (y, x) == (screen.cursor.y, screen.cursor.x)
            drawn.append((char.data, *((bg, fg) if reverse else (fg, bg))))
        cells.append(drawn)
    text = "\n".join(line.rstrip() for line in screen.display)
    _write(text, cells, ground, path)


def _write(
    text: str, cells: Sequence[Sequence[tuple[str, Rgb, Rgb]]], ground: Rgb, path: Path
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(path.name + ".txt").write_text(text + "\n")
    font = _font()
    width, height = round(font.getlength("M")), SIZE + 4
    image = Image.new("RGB", (width * len(cells[0]), height * len(cells)), ground)
    pen = ImageDraw.Draw(image)
    for y, row in enumerate(cells):
        for x, (letters, fg, bg) in enumerate(row):
            box = (x * width, y * height, (x + 1) * width, (y + 1) * height)
            if bg != ground:
                pen.rectangle(box, fill=bg)
            pen.text(box[:2], letters, font=font, fill=fg)
    image.save(path.with_name(path.name + ".png"))


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    for name in FONTS:
        try:
            return ImageFont.truetype(name, SIZE)
        except OSError:
            continue
    return ImageFont.load_default(SIZE)


def colour(number: int) -> Rgb:
    """An RGB triple."""
    return (number >> 16) & 255, (number >> 8) & 255, number & 255


def terminal_colour(name: str, default: int) -> Rgb:
    """What pyte calls a colour, as an RGB triple."""
    if name == "default":
        return colour(default)
    if len(name) == 6 and all(digit in "0123456789abcdef" for digit in name):
        return colour(int(name, 16))
    plain = NAMED.get(name, name.removeprefix("bright"))
    return ImageColor.getrgb(plain)[:3]
