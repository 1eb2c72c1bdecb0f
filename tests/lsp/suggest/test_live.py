"""A key that agrees with what is being filled: the work goes on, and answers as if typed along.

One that does not agree ends it, and the next question must be answered sooner.
"""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midfill_engine.wire import Draft, Fill, Middle, Silence, Token
from midfill_lsp.backend.base import Health
from midfill_lsp.context.window import ContextWindow
from midfill_lsp.documents import Ask, DocumentSnapshot
from midfill_lsp.settings import LspSettings
from midfill_lsp.shape.pipeline import Shaped
from midfill_lsp.suggest import live as live_module
from midfill_lsp.suggest import suggester as suggester_module
from midfill_lsp.suggest.live import DocumentState, Live
from midfill_lsp.suggest.shown import Known, Suggestion
from midfill_lsp.suggest.suggester import Suggester

URI = "file:///project/main.py"
BEFORE, AFTER = "x = ", "\n"


class Requests:
    """A backend whose drafts and answers the test hands out, one request after the other."""

    state = Health("ready")

    def __init__(self, *, compares=False):
        self.compares, self.told = compares, []
        self.running = []
        self.asked = []
        self.budgets, self.writing = [], []
        self.stopped = []

    async def fill(self, request, on_draft=None):
        answer = asyncio.get_running_loop().create_future()
        self.asked.append(request.prefix)
        self.budgets.append(request.budget_ms)
        self.writing.append(request.writing_ms)
        self.running.append((on_draft, answer))
        try:
            return await answer
        except asyncio.CancelledError:
            self.stopped.append(request.prefix)
            raise

    def typed(self, session, version, text):
        self.told.append((version, text))

    def draft(self, text):
        self.running[-1][0](Draft(1, (Token(text, 0.9),)))

    def answer(self, text, reason="end"):
        middles = (Middle(text, (Token(text, 0.9),), -0.1, reason),) if text else ()
        self.running[-1][1].set_result(Fill(middles, reason))


class Plain:
    """Surroundings that show the model all of a document, and the user all of a middle."""

    def why_excluded(self, *_):
        return None

    def window(self, snapshot, _):
        return ContextWindow(snapshot.text[: snapshot.offset], snapshot.text[snapshot.offset :])

    def single_line(self, _):
        return False

    def shape(self, middle, *_, **__):
        return Shaped(middle.text, middle.tokens, len(middle.text))


class Typist:
    """Types behind `BEFORE`, and asks."""

    def __init__(self, *, compares=False, **changed):
        self.requests = Requests(compares=compares)
        settings = LspSettings(**({"speculate": False} | changed))
        self.now, self.late = 0.0, []
        self.suggester = Suggester(
            self.requests,
            Plain,
            lambda: settings,
            on_late=self.late.append,
            clock=lambda: self.now,
        )
        self.uri, self.version, self.typed, self.closed = URI, 1, "", ""

    def ask(self, **more):
        text = BEFORE + self.typed + self.closed + AFTER
        offset = len(BEFORE + self.typed)
        snapshot = DocumentSnapshot(self.uri, self.version, "python", text, offset)
        return asyncio.ensure_future(self.suggester.suggest(Ask(snapshot, **more)))

    def type(self, more, closed=""):
        self.version += 1
        self.typed, self.closed = self.typed + more, closed
        text = BEFORE + self.typed + self.closed + AFTER
        self.suggester.changed(URI, self.version, text, None)


@pytest.fixture(scope="module", autouse=True)
def no_rest():
    """Nobody waits, but where a test says so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_module, "RESTED_S", 0.0)
        yield


@pytest.fixture
def typist():
    return Typist()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def begun(typist, draft="", **more):
    """A question that the backend is at, with a draft."""
    question = typist.ask(**more)
    await settle()
    if draft:
        typist.requests.draft(draft)
    return question


async def followed(typist, draft):
    """A question that comes with the key ``c`` while the one before it is at ``draft``."""
    await begun(typist, draft)
    typist.type("c")
    question = typist.ask()
    await settle()
    return question


def texts(outcome):
    return [] if isinstance(outcome, Silence) else [suggestion.text for suggestion in outcome]


async def test_an_editor_that_cancels_before_it_tells_the_key_keeps_the_work(typist):
    first = await begun(typist, "compute")
    first.cancel()
    await settle()
    typist.type("c")
    second = typist.ask()
    await settle()
    typist.requests.answer("compute(x)")
    [suggestion] = await second
    assert (suggestion.text, suggestion.source) == ("ompute(x)", "typed-along")
    assert typist.requests.asked == [BEFORE]


async def test_a_key_that_does_not_agree_stops_the_work_at_once(typist):
    first = await begun(typist, "compute")
    first.cancel()
    await settle()
    typist.type("q")
    await settle()
    assert typist.requests.stopped == [BEFORE]


async def test_a_cancel_that_no_key_follows_stops_the_work(typist, monkeypatch):
    monkeypatch.setattr(suggester_module, "FOLLOWED_WITHIN_S", 0.0)
    first = await begun(typist, "compute")
    typist.type("c")
    second = typist.ask()
    await settle()
    for question in (first, second):
        question.cancel()
        await asyncio.sleep(0.001)
    await settle()
    assert typist.requests.stopped == [BEFORE]


async def test_a_draft_that_turns_away_from_what_was_typed_is_dropped_at_once(typist):
    second = await followed(typist, "compute")
    typist.requests.draft("other")
    await settle()
    assert typist.requests.stopped == [BEFORE]
    assert typist.requests.asked == [BEFORE, BEFORE + "c"]
    typist.requests.answer("lear()")
    assert texts(await second) == ["lear()"]


async def test_a_draft_of_which_nothing_is_left_is_not_waited_for(typist):
    second = await followed(typist, "c")
    assert typist.requests.asked == [BEFORE, BEFORE + "c"]
    typist.requests.answer("lear()")
    assert texts(await second) == ["lear()"]


@pytest.mark.parametrize(("answer", "reason"), [("other", "end"), ("", "deadline"), ("c", "end")])
async def test_an_answer_that_leaves_nothing_is_asked_for_again(typist, answer, reason):
    second = await followed(typist, "compute")
    typist.requests.answer(answer, reason)
    await settle()
    assert typist.requests.asked == [BEFORE, BEFORE + "c"]
    typist.requests.answer("lear()")
    assert texts(await second) == ["lear()"]


async def test_of_two_keys_that_a_draft_disappoints_only_the_newer_is_asked(typist):
    second = await followed(typist, "compute")
    typist.requests.draft("other")
    typist.type("l")
    third = typist.ask()
    await settle()
    assert typist.requests.asked == [BEFORE, BEFORE + "cl"]
    typist.requests.answer("ear()")
    assert texts(await third) == ["ear()"]
    assert isinstance(await second, Silence)


@pytest.mark.parametrize("speculate", [False, True])
async def test_work_with_a_larger_budget_is_not_waited_for_beyond_ones_own(speculate):
    typist = Typist(budget_ms=10, explicit_budget_ms=60_000, speculate=speculate)
    await begun(typist, "compute", explicit=True)
    typist.type("c")
    late = await typist.ask()
    assert late.code == "deadline"
    await settle()
    assert (typist.requests.asked, typist.requests.stopped) == ([BEFORE], [])
    typist.requests.answer("compute(x)")
    await settle()
    assert texts(await typist.ask()) == ["ompute(x)"]
    await typist.suggester.close()


async def test_a_dismissal_is_no_reason_to_ask_again(typist):
    second = await followed(typist, "compute")
    typist.suggester.dismiss(URI, 0)
    assert isinstance(await second, Silence)
    assert typist.requests.asked == [BEFORE]


async def test_a_bracket_that_the_editor_closed_keeps_the_work(typist):
    await begun(typist, "f(a)")
    typist.type("f(", closed=")")
    second = typist.ask()
    await settle()
    typist.requests.answer("f(a)")
    [suggestion] = await second
    assert (suggestion.text, suggestion.replace_after) == ("a)", 1)
    assert typist.requests.asked == [BEFORE]


async def test_what_is_deleted_again_is_not_held_against_a_draft(typist):
    await begun(typist, "compute")
    typist.type("c")
    typist.typed = ""
    typist.type("")
    typist.requests.draft("other")
    second = typist.ask()
    await settle()
    typist.requests.answer("other")
    assert texts(await second) == ["other"]
    assert typist.requests.asked == [BEFORE]


@pytest.fixture
async def comparing():
    """A question without a draft, and the key ``c`` after it; the backend compares."""
    typist = Typist(compares=True)
    await begun(typist)
    typist.type("c")
    typist.question = typist.ask()
    await settle()
    return typist


async def test_a_key_before_the_first_draft_waits_for_it_where_the_backend_compares(comparing):
    requests = comparing.requests
    assert (requests.asked, requests.stopped, requests.told) == ([BEFORE], [], [(1, "c")])
    requests.draft("compute")
    requests.answer("compute(x)")
    assert texts(await comparing.question) == ["ompute(x)"]
    assert requests.asked == [BEFORE]


@pytest.mark.parametrize("draft", ["d", "c"])
async def test_a_first_draft_of_which_nothing_is_left_is_dropped_and_asked_anew(comparing, draft):
    comparing.requests.draft(draft)
    await settle()
    assert comparing.requests.stopped == [BEFORE]
    assert comparing.requests.asked == [BEFORE, BEFORE + "c"]
    comparing.requests.answer("ompute")
    assert texts(await comparing.question) == ["ompute"]


async def test_what_the_backend_itself_has_ended_is_asked_anew(comparing):
    comparing.requests.answer("", "superseded")
    await settle()
    assert comparing.requests.stopped == []
    assert comparing.requests.asked == [BEFORE, BEFORE + "c"]
    comparing.requests.answer("ompute")
    assert texts(await comparing.question) == ["ompute"]


async def test_what_the_backend_ended_before_the_next_question_came_is_asked_anew():
    typist = Typist(compares=True)
    await begun(typist)
    typist.type("c")
    typist.requests.answer("", "superseded")
    await settle()
    question = typist.ask()
    await settle()
    typist.requests.answer("ompute")
    assert texts(await question) == ["ompute"]


@pytest.mark.parametrize("cancelled", [True, False])
@pytest.mark.parametrize("first", ["ended", "asked"])
async def test_what_a_key_ended_is_asked_anew_when_the_key_is_taken_back(cancelled, first):
    typist = Typist(compares=True)
    question = await begun(typist)
    if cancelled:
        question.cancel()
        await settle()
    typist.type("c")
    typist.typed = ""
    typist.type("")
    steps = [lambda: typist.requests.answer("", "superseded"), lambda: asked.append(typist.ask())]
    asked: list[asyncio.Future] = []
    for step in steps if first == "ended" else steps[::-1]:
        step()
        await settle()
    assert typist.requests.asked == [BEFORE, BEFORE]
    typist.requests.answer("compute")
    assert texts(await asked[0]) == ["compute"]
    await asyncio.gather(question, return_exceptions=True)


async def test_each_key_is_told_with_those_before_it(comparing):
    comparing.type("o")
    comparing.type("(", closed=")")
    comparing.type("]")
    comparing.typed = ""
    comparing.type("")
    assert comparing.requests.told == [(1, "c"), (1, "co"), (1, "co("), (1, "co("), (1, "")]


async def hurried(typist, answer):
    """What is shown for ``answer``, for which a key left little time."""
    await begun(typist, "compute")
    typist.type("q")
    question = await begun(typist)
    typist.requests.answer(answer, "deadline")
    outcome = await question
    await settle()
    return outcome


async def test_after_a_key_that_threw_work_away_an_answer_has_the_time_between_two_keys(typist):
    assert texts(await hurried(typist, "ui")) == ["ui"]
    assert typist.requests.budgets == [700, 120]
    typist.type("x")
    await begun(typist)
    assert typist.requests.budgets == [700, 120, 120]


async def test_keys_that_are_typed_along_give_answers_time_again(typist):
    await hurried(typist, "uick")
    for key in "uic":
        typist.type(key)
        await typist.ask()
    typist.type("x")
    await begun(typist)
    assert typist.requests.budgets == [700, 120, 480]


async def test_the_rest_of_a_hurried_answer_is_asked_for_while_the_typist_rests():
    typist = Typist(speculate=True)
    await hurried(typist, "ui")
    assert typist.requests.asked == [BEFORE, BEFORE + "q", BEFORE + "q"]
    assert typist.requests.budgets == [700, 120, 3000]
    assert typist.requests.writing == [120, 120, None]
    typist.requests.answer("uick()")
    await settle()
    [late] = typist.late  # what is shown may grow
    assert late.ask.snapshot.version == typist.version
    typist.type("ui")
    assert texts(await typist.ask()) == ["ck()"]
    await typist.suggester.close()


@pytest.mark.parametrize("whole", ["ui", "uo()", ""])
async def test_what_is_shown_changes_in_no_other_way_than_to_grow(whole):
    typist = Typist(speculate=True)
    await hurried(typist, "ui")
    typist.requests.answer(whole)
    await settle()
    assert typist.late == []
    await typist.suggester.close()


async def test_who_rests_where_nothing_was_ready_is_told_of_it():
    typist = Typist(speculate=True)
    outcome = await hurried(typist, "")
    assert outcome.code == "deadline"
    typist.requests.answer("uick()")
    await settle()
    [late] = typist.late
    assert late.ask.snapshot.version == typist.version


async def ahead(typist):
    """A question is answered, and what follows is asked ahead."""
    question = await begun(typist)
    typist.requests.answer("f(x)")
    await question
    await settle()
    assert typist.requests.asked == [BEFORE, BEFORE + "f(x)"]


async def test_what_is_asked_ahead_takes_no_longer_than_a_question():
    typist = Typist(speculate=True)
    await ahead(typist)
    assert typist.requests.budgets == [700, 700]
    assert typist.requests.writing == [120, 120]
    await typist.suggester.close()


async def test_who_asks_explicitly_lets_it_write(typist):
    await begun(typist, explicit=True)
    assert typist.requests.writing == [None]


async def test_who_types_in_another_document_ends_what_was_asked_ahead():
    typist = Typist(speculate=True)
    await ahead(typist)
    typist.uri = "file:///project/other.py"
    await begun(typist)
    assert typist.requests.stopped == [BEFORE + "f(x)"]
    await typist.suggester.close()


class Work:
    """In place of a task."""

    def cancel(self):
        pass


def asked(state, *, line=3, begun=True, draft="", **more):
    text = BEFORE + AFTER
    snapshot = DocumentSnapshot(URI, 1, "python", text, len(BEFORE))
    live = state.live = Live(Ask(snapshot, line, **more))
    live.begun, live.task = begun, Work()
    if draft:
        state.drafted(live, draft)
    return live


@pytest.fixture
def state(monkeypatch):
    monkeypatch.setattr(live_module, "RESTED_S", 0.2)
    return DocumentState("session")


def missed(state):
    """A key has thrown work away."""
    asked(state, draft="compute")
    state.changed(BEFORE + "q" + AFTER)
    return state


def budget(state, **more):
    """Milliseconds of 700 that the next question has."""
    return state.budget_ms(asked(state, **more), 700)


def test_a_context_that_is_new_may_take_its_time_what_follows_the_time_of_two_keys(state):
    assert budget(state) == 700
    asked(state, draft="compute")
    assert budget(state) == 240


def test_each_key_that_agrees_after_a_miss_gives_more_time(state):
    missed(state)
    budgets = []
    for _ in range(7):
        budgets.append(budget(state))
        state.agree()
    assert budgets == [120, 240, 360, 480, 600, 700, 700]


def test_no_question_has_more_time_than_settings_give_it(state):
    assert state.budget_ms(asked(missed(state)), 50) == 50


def test_a_draft_that_turned_away_was_a_miss_too(state):
    live = asked(state, draft="compute")
    state.changed(BEFORE + "c" + AFTER)
    state.drafted(live, "other")
    assert budget(state) == 120


def test_nobody_hurries_on_another_line_nor_when_asking_explicitly(state):
    missed(state)
    assert budget(state, line=4) == 700
    assert budget(state, explicit=True) == 700
    asked(state, line=4, draft="compute")
    assert budget(state, line=4) == 240


def test_a_key_that_agrees_with_a_draft_counts_what_is_shown_does_not(state):
    live = asked(missed(state), draft="compute")
    state.show(live.ask.snapshot, "compute")
    assert budget(state) == 120
    state.live = live
    state.changed(BEFORE + "c" + AFTER)
    assert budget(state) == 240


def test_what_had_not_begun_is_no_miss(state):
    asked(state, draft="compute")
    asked(state, begun=False)
    state.changed(BEFORE + "q" + AFTER)
    assert budget(state) == 240


def test_once_a_line_was_read_a_key_before_the_first_draft_is_a_miss(state):
    asked(state, draft="compute")
    state.stop()
    asked(state)
    state.changed(BEFORE + "q" + AFTER)
    assert budget(state) == 120


@pytest.mark.parametrize(("draft", "ms"), [("compute", 240), ("other", 120)])
def test_a_key_that_waits_for_the_first_draft_counts_when_it_is_there(state, draft, ms):
    live = asked(missed(state))
    live.compared = True
    state.changed(BEFORE + "c" + AFTER)
    assert budget(state) == 120
    state.live = live
    state.drafted(live, draft)
    assert budget(state) == ms


def test_what_follows_a_suggestion_says_nothing_of_the_line(state):
    asked(state, draft="compute")
    ahead = Live(Ask(state.live.ask.snapshot), ahead=True, taken=Suggestion("", "f", (), 1))
    state.drafted(ahead, "(x)")
    assert budget(state) == 240


def test_what_is_asked_ahead_waits_longer_where_answers_take_long(state):
    live = asked(state, draft="compute")
    assert state.rest_s(live) == 0
    live.ahead = True
    rests = []
    for took_s in (0.02, 0.06, 9.0):
        state.took_s = took_s
        rests.append(state.rest_s(live))
    assert rests == [0.2, 0.3, 1.0]


def test_a_context_that_is_new_is_read_on_after_a_short_rest(state):
    live = asked(state)
    live.ahead, state.took_s = True, 9.0
    assert state.rest_s(live) == 0.2


words = st.text("ab(", max_size=4)


@given(answer=words, keys=st.lists(st.sampled_from("ab("), min_size=1, max_size=3), data=st.data())
def test_it_answers_as_if_the_older_question_had_been_answered_first(answer, keys, data):
    """Whatever is drafted between the keys, and whether or not editors cancel."""

    async def typed():
        typist = Typist(compares=data.draw(st.booleans()))
        questions = [await begun(typist)]
        for key in keys:
            if len(typist.requests.asked) == 1 and data.draw(st.booleans()):
                typist.requests.draft(data.draw(st.one_of(st.just(answer), words)))
            if data.draw(st.booleans()):
                questions[-1].cancel()
                await settle()
            typist.type(key)
            questions.append(typist.ask())
            await settle()
        if len(typist.requests.asked) == 1:
            typist.requests.answer(answer)
            await settle()
        again = len(typist.requests.asked) > 1
        while not questions[-1].done():  # a key may have followed what was asked again, too
            if not typist.requests.running[-1][1].done():
                typist.requests.answer("new")
            await settle()
        outcome = texts(await questions[-1])
        await asyncio.gather(*questions, return_exceptions=True)
        return again, outcome

    again, outcome = asyncio.run(typed())
    known = Known()
    if answer:
        known.remember(BEFORE + AFTER, len(BEFORE), [Suggestion("", answer, (), len(answer))])
    text = BEFORE + "".join(keys)
    left = known.find(text + AFTER, len(text))
    assert outcome == (["new"] if again else texts(left))
    assert again or left
