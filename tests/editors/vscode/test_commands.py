"""What lasts or disturbs other tests: in a window of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.editors.vscode.workbench import GAP, MEAN, until

if TYPE_CHECKING:
    from tests.editors.vscode.conftest import Office

pytestmark = [
    pytest.mark.editor,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


async def test_how_much_of_an_accepted_text_stays_is_journaled(office: Office):
    office.answers("if not numbers:", "\n        return 0")
    await office.edit(MEAN.replace("    total = \n", "    \n"), (1, 4))
    await office.window.command("Midfill: Complete Now")
    await office.window.sees("if not numbers:\n        return 0")
    await office.window.press("Tab", "Control+Shift+K")
    assert "if not numbers:\n    return total" in await office.saved()
    looked = await until("half a minute later", lambda: office.outcomes(after_s=30), 90)
    # Fifteen letters of 23.
    assert looked[0]["kept"] == round(15 / 23, 3)


async def test_restart_ends_the_engine_and_the_next_one_serves(office: Office):
    await office.edit(MEAN, GAP)
    servers = office.server.language_servers()
    await office.window.command("Midfill: Restart the Engine")
    await until("the end of the engine", lambda: office.engine.stopped)
    await office.engine.close()
    await office.window.type("s")
    await office.goes_on()
    assert office.server.language_servers() == servers
