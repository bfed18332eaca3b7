"""The board in a real browser: it shows events, greys out, resumes, and what devices write stays text."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from playwright.async_api import Browser, Page, expect

from bridge.domain.events import DataQuality
from bridge.domain.place import Place
from bridge.settings.web import WebSettings
from tests.support.browser_page import DEADLINE_MS, browser_page
from tests.support.front_server import ServedFront, call, served_front, status
from tests.support.journal_samples import NOON
from tests.support.tokens import token

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>'


async def open_board(page: Page, served: ServedFront, proof: str | None = None) -> None:
    await page.goto(f"{served.http}/#token={proof or token()}")
    await expect(page.locator("#link")).to_have_text("live", timeout=DEADLINE_MS)


async def test_the_board_shows_events_as_they_come_newest_first(tmp_path: Path, browser: Browser) -> None:
    async with served_front(tmp_path) as served, browser_page(browser) as page:
        served.commit(status())
        await open_board(page, served)
        rows = page.locator("#events tr")
        await expect(rows).to_have_count(1, timeout=DEADLINE_MS)
        served.commit(call())
        await expect(rows).to_have_count(2, timeout=DEADLINE_MS)
        await expect(rows.first).to_contain_text("andon_event")
        await expect(rows.first).to_contain_text("film torn")
        await expect(page.locator("#counts")).to_contain_text("open calls1")
        await expect(page.locator("#counts")).to_contain_text("lines running1")
        await expect(page.locator("#simulated")).to_be_hidden()
        assert "token" not in page.url


async def test_a_typed_token_works_as_well_and_an_invalid_one_is_named(tmp_path: Path, browser: Browser) -> None:
    async with served_front(tmp_path, simulated=True) as served, browser_page(browser) as page:
        await page.goto(served.http)
        await page.fill("#token", "a.b.c")
        await page.click("#entry button")
        await expect(page.locator("#link")).to_have_text("the token was refused", timeout=DEADLINE_MS)
        await page.fill("#token", token())
        await page.click("#entry button")
        await expect(page.locator("#link")).to_have_text("live", timeout=DEADLINE_MS)
        await expect(page.locator("#simulated")).to_be_visible()
        await expect(page.locator("#user")).to_contain_text("eva (admin)")


async def test_script_in_names_is_inert(tmp_path: Path, browser: Browser) -> None:
    async with served_front(tmp_path) as served, browser_page(browser) as page:
        served.commit(call(description=HOSTILE), status(product=HOSTILE))
        await open_board(page, served)
        await expect(page.locator("#events tr")).to_have_count(2, timeout=DEADLINE_MS)
        assert await page.locator("#events").get_by_text(HOSTILE).count() == 2
        assert await page.locator("#events img, #events script").count() == 0
        assert await page.evaluate("window.harmed") is None


async def test_the_page_allows_no_script_but_its_own(tmp_path: Path, browser: Browser) -> None:
    async with served_front(tmp_path) as served, browser_page(browser) as page:
        await open_board(page, served)
        await page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "window.harmed = 1";
                document.body.append(script);
            }"""
        )
        assert await page.evaluate("window.harmed") is None


async def test_the_board_greys_out_when_it_is_not_live(tmp_path: Path, browser: Browser) -> None:
    async with served_front(tmp_path) as served, browser_page(browser) as page:
        await open_board(page, served)
        served.front.set_link_state(broker_connected=False, stream_live=True, last_seen=NOON)
        await expect(page.locator("body.stale #link")).to_contain_text("broker", timeout=DEADLINE_MS)
        served.front.set_link_state(broker_connected=True, stream_live=False, last_seen=NOON)
        await expect(page.locator("body.stale #link")).to_contain_text("not live: main", timeout=DEADLINE_MS)
        served.front.set_link_state(broker_connected=True, stream_live=True, last_seen=NOON)
        await expect(page.locator("body:not(.stale) #link")).to_have_text("live", timeout=DEADLINE_MS)


async def test_a_stale_status_does_not_look_live(tmp_path: Path, browser: Browser) -> None:
    """The last event of a device without effect is flagged; there is no other one."""
    ineffective = DataQuality(clock="receive", estimated=False, stale=True, ineffective=True)
    async with served_front(tmp_path) as served, browser_page(browser) as page:
        served.commit(status("L1"), status("L2", quality=ineffective))
        await open_board(page, served)
        await expect(page.locator("#events tr")).to_have_count(2, timeout=DEADLINE_MS)
        doubtful, live = page.locator("#events tr.doubtful"), page.locator("#events tr:not(.doubtful)")
        await expect(doubtful).to_contain_text("STALE · status running")
        await expect(doubtful).to_contain_text("ineffective")
        await expect(live).to_contain_text("L1")
        await expect(live).not_to_contain_text("STALE")
        await expect(page.locator("#counts")).to_contain_text("lines running1")
        await expect(page.locator("#counts")).to_contain_text("lines running, stale1")


async def test_devices_without_effect_are_counted_and_named(tmp_path: Path, browser: Browser) -> None:
    """A line has the flag of the machine that decides it, so it is named only where no machine of it is."""
    bad = DataQuality(clock="receive", estimated=False, stale=True, ineffective=True)
    machine = Place("north", "pack", "L1", "L1-bagger")
    async with served_front(tmp_path) as served, browser_page(browser) as page:
        served.commit(replace(status("L1", quality=bad), place=machine), status("L1", quality=bad), status("L2"))
        await open_board(page, served)
        tile = page.locator("#counts div", has_text="devices without effect")
        await expect(tile).to_have_text("devices without effect1L1 / L1-bagger", timeout=DEADLINE_MS)
        served.commit(status("L2", quality=bad, revision=2))
        await expect(tile).to_have_text("devices without effect2L1 / L1-bagger, L2", timeout=DEADLINE_MS)
        served.commit(replace(status("L1", revision=2), place=machine), status("L1", revision=2))
        await expect(tile).to_have_text("devices without effect1L2", timeout=DEADLINE_MS)
        served.commit(status("L2", revision=3))
        await expect(tile).to_have_count(0, timeout=DEADLINE_MS)


async def test_quality_flags_of_an_event_are_in_its_row(tmp_path: Path, browser: Browser) -> None:
    doubtful = DataQuality(clock="receive", estimated=True, unplaced=True, pieces_held=12, gap=3)
    async with served_front(tmp_path) as served, browser_page(browser) as page:
        served.commit(status("L1"), status("L2", quality=doubtful))
        await open_board(page, served)
        await expect(page.locator("#events tr")).to_have_count(2, timeout=DEADLINE_MS)
        row = page.locator("#events tr").first
        await expect(row).to_contain_text("estimated · unplaced · pieces_held 12 · gap 3")
        await expect(page.locator("#events tr").last).not_to_contain_text("pieces_held")


async def test_a_board_that_may_read_nothing_is_not_green_until_it_may(tmp_path: Path, browser: Browser) -> None:
    async with served_front(tmp_path) as served, browser_page(browser) as page:
        served.commit(call())
        nothing, one_line = token(roles=("operator",), lines=[]), token(roles=("operator",), lines=["L1"])
        await page.goto(f"{served.http}/#token={nothing}")
        for _ in range(2):
            await expect(page.locator("body.stale #link")).to_contain_text("no read access", timeout=DEADLINE_MS)
            await page.evaluate("token => { location.hash = `token=${token}`; }", one_line)
            await expect(page.locator("body:not(.stale) #link")).to_have_text("live", timeout=DEADLINE_MS)
            await expect(page.locator("#counts")).to_contain_text("open calls1", timeout=DEADLINE_MS)
            await page.evaluate("token => { location.hash = `token=${token}`; }", nothing)


async def test_the_board_returns_and_shows_what_it_missed_once(tmp_path: Path, browser: Browser) -> None:
    async with browser_page(browser) as page:
        async with served_front(tmp_path) as served:
            served.commit(status())
            await open_board(page, served)
            await expect(page.locator("#events tr")).to_have_count(1, timeout=DEADLINE_MS)
            await page.wait_for_function("positions.main && positions.main.offset === 1")
            port = served.port
        await expect(page.locator("body.stale #link")).to_contain_text("reconnecting", timeout=DEADLINE_MS)
        async with served_front(tmp_path, port=port) as served:
            served.commit(call())
            await expect(page.locator("#link")).to_have_text("live", timeout=DEADLINE_MS)
            await expect(page.locator("#events tr")).to_have_count(2, timeout=DEADLINE_MS)
            await expect(page.locator("#events tr").first).to_contain_text("andon_event")


async def test_the_seconds_to_the_next_connection_count_down(tmp_path: Path, browser: Browser) -> None:
    async with browser_page(browser) as page:
        async with served_front(tmp_path) as served:
            await open_board(page, served)
        await page.evaluate("""onClosed({ code: 1012, reason: '{"retry_after": 6}' })""")
        for seconds in (5, 3):
            await expect(page.locator("#link")).to_have_text(
                f"connection lost: reconnecting in {seconds} s", timeout=DEADLINE_MS
            )


async def test_the_name_of_an_event_is_not_broken(tmp_path: Path, browser: Browser) -> None:
    async with served_front(tmp_path) as served, browser_page(browser) as page:
        await page.set_viewport_size({"width": 500, "height": 600})
        served.commit(call(description="film torn, and so on and on " * 20))
        await open_board(page, served)
        await expect(page.locator("#events tr")).to_have_count(1, timeout=DEADLINE_MS)
        pieces = """cell => {
            const range = document.createRange();
            range.selectNodeContents(cell);
            return range.getClientRects().length;
        }"""
        cells = page.locator("#events td")
        assert await cells.nth(2).evaluate(pieces) == 1
        assert await cells.nth(4).evaluate(pieces) > 1


async def test_a_new_token_is_requested_after_expiry(tmp_path: Path, browser: Browser) -> None:
    async with served_front(tmp_path, WebSettings()) as served, browser_page(browser) as page:
        await open_board(page, served, token(ttl=8))
        await expect(page.locator("#link")).to_contain_text("expired", timeout=DEADLINE_MS)
        await expect(page.locator("#token")).to_be_visible()


async def test_the_page_sends_requests_to_its_own_server_only(tmp_path: Path, browser: Browser) -> None:
    async with served_front(tmp_path) as served, browser_page(browser) as page:
        requested_urls: list[str] = []
        page.on("request", lambda request: requested_urls.append(request.url))
        await open_board(page, served)
    assert len(requested_urls) >= 3
    assert not [url for url in requested_urls if not url.startswith((served.http, "data:"))]
