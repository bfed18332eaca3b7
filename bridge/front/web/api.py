"""HTTP API under `/api`: journal queries and commands, authorized as over WebSocket."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from bridge.domain.access.viewer import Viewer
from bridge.domain.topic_tree import TopicBranch
from bridge.domain.utc_time import UNIX_EPOCH, Millis
from bridge.front.front import Front
from bridge.front.journal_queries import DEFAULT_PAGE, MAX_CURSOR, MAX_PAGE, CurrentState, HistoryPage
from bridge.http.access import current_viewer, require_unchanged, require_viewer, steps_of
from bridge.http.answer_parts import PartsResponse
from bridge.http.openapi import TOKEN, error_responses
from bridge.http.request_body import read_body
from bridge.http.responses import json_response
from bridge.protocol.client_frames import InvalidFrame
from bridge.protocol.error_codes import ErrorCode

MAX_FILTER: Final = 1_024  # characters; event topics have 8 levels of at most 64

FilterParameter = Annotated[
    str | None, Query(alias="filter", max_length=MAX_FILTER, description="relative to {root}/event/")
]
Texts = Annotated[list[str] | None, Query(max_length=100)]


RequestViewer = Annotated[Viewer, Depends(require_viewer)]


def _to_millis(name: str, value: datetime | None) -> Millis | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise InvalidFrame(ErrorCode.INVALID_MESSAGE, f"{name} needs a zone: Z or an offset")
    elapsed = value - UNIX_EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000 + elapsed.microseconds // 1_000


def api_router(front: Front, *, root: str) -> APIRouter:
    """Return the `/api` routes of one front."""
    router = APIRouter(prefix="/api")

    def relative(filter_text: str | None) -> str | None:
        """Return the filter; raise InvalidFrame for one of whole topics, which would match nothing."""
        prefix = TopicBranch.EVENT.prefix(root)
        if filter_text is not None and filter_text.startswith(prefix):
            raise InvalidFrame(ErrorCode.INVALID_MESSAGE, f"leave {prefix} out: a filter is relative to it")
        return filter_text

    async def answered(request: Request, viewer: Viewer, found: HistoryPage | CurrentState) -> Response:
        answer = await steps_of(request)(found.answer())
        await require_unchanged(request, viewer)
        return PartsResponse(answer.parts(), size=answer.size)

    @router.get(
        "/events",
        summary="List events from the journal that the viewer may see, oldest first",
        responses=_READ_ERRORS,
        openapi_extra=_TOKEN,
    )
    async def events(
        request: Request,
        viewer: RequestViewer,
        *,
        filter_text: FilterParameter = None,
        since: Annotated[datetime | None, Query(alias="from", description="timestamp at or after")] = None,
        until: Annotated[datetime | None, Query(alias="to", description="timestamp before")] = None,
        cursor: Annotated[str | None, Query(max_length=MAX_CURSOR)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
    ) -> Response:
        page = await front.read_history(
            viewer,
            relative(filter_text),
            since=_to_millis("from", since),
            until=_to_millis("to", until),
            cursor=cursor,
            limit=limit,
            run=steps_of(request),
        )
        return await answered(request, viewer, page)

    @router.get(
        "/snapshot",
        summary="List the current events that the viewer may see",
        responses=_READ_ERRORS,
        openapi_extra=_TOKEN,
    )
    async def snapshot(request: Request, viewer: RequestViewer, *, filter_text: FilterParameter = None) -> Response:
        state = await front.read_snapshot(viewer, relative(filter_text), run=steps_of(request))
        return await answered(request, viewer, state)

    @router.get(
        "/explain",
        summary="Explain a subscription: effective filters and grants, or a refused topic",
        responses=_EXPLAIN_ERRORS,
        openapi_extra=_TOKEN,
    )
    async def explain(
        request: Request,
        viewer: RequestViewer,
        *,
        subscription_type: Annotated[str | None, Query(max_length=64)] = None,
        target_id: Texts = None,
        mqtt_filter: Annotated[str | None, Query(max_length=MAX_FILTER)] = None,
        event_types: Texts = None,
        priorities: Texts = None,
        strict: bool = False,
    ) -> Response:
        masks = {"event_types": event_types, "priorities": priorities}
        body: dict[str, Any] = {
            "subscription_type": subscription_type,
            "target_id": target_id[0] if target_id and len(target_id) == 1 else target_id,
            "mqtt_filter": relative(mqtt_filter),
            "filters": {name: value for name, value in masks.items() if value} or None,
            "strict": strict or None,
        }
        asked = {name: value for name, value in body.items() if value}
        return json_response(await front.explain(viewer, asked, run=steps_of(request)))

    @router.post("/explain", summary="Explain a subscribe body", responses=_EXPLAIN_ERRORS, openapi_extra=_BODY)
    async def explain_body(_: RequestViewer, request: Request) -> Response:
        body = await read_body(request)
        viewer = await current_viewer(request)  # again: a body may take seconds
        return json_response(await front.explain(viewer, body, run=steps_of(request)))

    @router.post(
        "/commands", summary="Run a command and wait for its result", responses=_COMMAND_ERRORS, openapi_extra=_BODY
    )
    async def commands(viewer: RequestViewer, request: Request) -> Response:
        body = await read_body(request)
        result = await front.run_command(lambda: current_viewer(request), body, user_id=viewer.user_id)
        return json_response(result)

    return router


_TOKEN: Final = dict(TOKEN)
_BODY: Final = {
    **TOKEN,
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
}
_EXPLAIN_ERRORS: Final = error_responses(HTTPStatus.BAD_REQUEST)
_READ_ERRORS: Final = error_responses(HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN)
_COMMAND_ERRORS: Final = error_responses(HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
