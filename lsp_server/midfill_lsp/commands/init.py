"""`midfill init EDITOR`: print or write an editor's configuration.

Owns which editors there are, where each keeps its configuration, and how a recipe (a file in
`recipes/`) is filled in. A file of the user is never changed: a recipe that has a file of its own
can be written, the others are printed to be pasted.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where `midfill serve` listens by default, which is where llama.vim looks.
PORT = 8012


class Recipe(NamedTuple):
    """One editor: the recipe's file, where it belongs, and what an editor is called.

    ``own`` says that the file holds nothing else, so that it may be written.
    """

    file: str
    place: str
    title: str
    own: bool = False


RECIPES = {
    "neovim": Recipe("neovim.lua", "~/.config/nvim/plugin/midfill.lua", "Neovim", own=True),
    "vscode": Recipe("vscode.jsonc", "VS Code's settings.json", "VS Code"),
    "helix": Recipe("helix.toml", "~/.config/helix/languages.toml", "Helix"),
    "emacs": Recipe("emacs.el", "~/.emacs.d/init.el", "Emacs with lsp-mode"),
    "eglot": Recipe("eglot.el", "~/.emacs.d/init.el", "Emacs with eglot"),
    "vim": Recipe("vim.vim", "~/.vim/plugin/midfill.vim", "Vim with vim-lsp", own=True),
    "coc": Recipe("coc.json", "~/.vim/coc-settings.json", "Vim with coc.nvim"),
    "zed": Recipe("zed.jsonc", "~/.config/zed/settings.json", "Zed"),
    "sublime": Recipe("sublime.json", "LSP.sublime-settings", "Sublime Text with LSP"),
    "kate": Recipe("kate.json", "Kate's settings, LSP Client, User Server Settings", "Kate"),
    "jetbrains": Recipe("jetbrains.md", "the settings of LSP4IJ", "JetBrains with LSP4IJ"),
    "llama.vim": Recipe("llama.vim", "~/.vimrc or init.vim", "llama.vim"),
    "llama.vscode": Recipe("llama.vscode.jsonc", "VS Code's settings.json", "llama.vscode"),
    "continue": Recipe("continue.yaml", "~/.continue/config.yaml", "Continue"),
    "twinny": Recipe("twinny.md", "the settings of twinny", "twinny"),
    "minuet": Recipe("minuet.lua", "Neovim's init.lua", "minuet-ai.nvim"),
}


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    args = _parser().parse_args(argv)
    recipe = RECIPES[args.editor]
    text = rendered(recipe, args.command or _command(), args.port)
    if args.write is None:
        print(f"{recipe.title}: put this into {recipe.place}", file=sys.stderr)
        print(text, end="")
        return 0
    return _write(args.editor, recipe, Path(args.write or recipe.place).expanduser(), text)


def rendered(recipe: Recipe, command: str, port: int) -> str:
    """The recipe with the command and the port filled in."""
    text = files(__package__).joinpath("recipes", recipe.file).read_text(encoding="utf-8")
    # A backslash (Windows) would need to be escaped in every one of these languages.
    return text.replace("@MIDFILL@", command.replace("\\", "/")).replace("@PORT@", str(port))


def _write(editor: str, recipe: Recipe, path: Path, text: str) -> int:
    if not recipe.own and path == Path(recipe.place).expanduser():
        print(
            f"midfill init: {recipe.place} holds other things as well; paste it there: "
            f"midfill init {editor}",
            file=sys.stderr,
        )
        return 1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        print(f"midfill init: {path} exists and is left as it is.", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"midfill init: {path} cannot be written: {error.strerror}.", file=sys.stderr)
        return 1
    print(f"Written: {path}")
    return 0


def _command() -> str:
    """The command as an editor finds it: its path, since editors often have another PATH."""
    return shutil.which("midfill") or "midfill"


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, RECIPES))
    editors = "\n".join(f"  {name:<{width}}  {recipe.title}" for name, recipe in RECIPES.items())
    parser = argparse.ArgumentParser(
        prog="midfill init",
        description="Print the configuration of an editor, or write it where it has a file of "
        "its own.\nA file that is there already is never changed.",
        epilog=f"editors:\n{editors}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("editor", choices=RECIPES, metavar="EDITOR", help="one of those below")
    parser.add_argument(
        "--write", nargs="?", const="", metavar="FILE", help="write it, by default in its place"
    )
    parser.add_argument("--command", default="", help="path of midfill; the one found by default")
    parser.add_argument(
        "--port", type=int, default=PORT, help="of `midfill serve`, where it is asked (%(default)s)"
    )
    return parser
