"""The plant file's rules for Andon calls: ladders, responders, default priorities, flood control."""

from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bridge.domain.event_data import AndonType, CallPriority

Minutes = Annotated[float, Field(gt=0, le=7 * 1_440)]  # bounds the shifts searched for a deadline

MAX_CALLS: Final = 50  # per area and flood window; bounds the calls that a line remembers


class FloodRule(BaseModel):
    """Flood control of automatic calls, per area."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    calls: int = Field(10, ge=1, le=MAX_CALLS)
    minutes: Minutes = 10.0
    below: int = Field(5, ge=1, le=MAX_CALLS)

    @model_validator(mode="after")
    def _ends_below_its_begin(self) -> Self:
        if self.below > self.calls:
            raise ValueError("flood: below is greater than calls: it would end as it begins")
        return self


class EscalationPolicy(BaseModel):
    """Deadlines of one priority in minutes, and the recipients of each level."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    acknowledge_minutes: Minutes
    resolve_minutes: Minutes
    step_minutes: Minutes
    recipients: tuple[tuple[str, ...], ...] = Field(min_length=2, max_length=10)  # `responders`: the type's


DEFAULT_POLICIES: dict[CallPriority, EscalationPolicy] = {
    "low": EscalationPolicy(
        acknowledge_minutes=15,
        resolve_minutes=60,
        step_minutes=15,
        recipients=(("responders",), ("team_leader",), ("shift_manager",)),
    ),
    "medium": EscalationPolicy(
        acknowledge_minutes=10,
        resolve_minutes=45,
        step_minutes=10,
        recipients=(("responders",), ("team_leader", "shift_manager"), ("production_manager",)),
    ),
    "high": EscalationPolicy(
        acknowledge_minutes=5,
        resolve_minutes=30,
        step_minutes=5,
        recipients=(("responders",), ("shift_manager", "engineer"), ("production_manager",)),
    ),
    "critical": EscalationPolicy(
        acknowledge_minutes=2,
        resolve_minutes=15,
        step_minutes=2,
        recipients=(("responders", "team_leader"), ("shift_manager", "engineer"), ("production_manager",)),
    ),
}

DEFAULT_RESPONDERS: dict[AndonType, tuple[str, ...]] = {
    "equipment": ("maintenance",),
    "maintenance": ("maintenance",),
    "stop": ("maintenance",),
    "quality": ("quality",),
    "material": ("material",),
    "process": ("engineer",),
    "changeover": ("engineer",),
    "safety": ("operator", "team_leader", "maintenance", "quality", "material", "engineer", "shift_manager"),
}

DEFAULT_PRIORITY: dict[AndonType, CallPriority] = {
    "safety": "critical",
    "stop": "critical",
    "quality": "high",
    "equipment": "high",
    "maintenance": "medium",
    "material": "medium",
    "process": "medium",
    "changeover": "medium",
}
