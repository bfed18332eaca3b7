"""The union of all kinds of disturbances, discriminated by `kind`."""

from typing import Annotated

from pydantic import Field

from device_sim.disturbances import (
    broker_and_bridge,
    clocks,
    delivery,
    failures,
    foreign_messages,
    operations,
    registers,
)

AnyDisturbance = Annotated[
    failures.PowerCut
    | failures.LinkLoss
    | failures.SharedGateway
    | delivery.StoreAndForward
    | delivery.ResentReports
    | delivery.Reorder
    | delivery.Jitter
    | delivery.QosZero
    | delivery.RetainFlag
    | foreign_messages.Leftovers
    | foreign_messages.LateWill
    | foreign_messages.ForeignWill
    | foreign_messages.Malformed
    | operations.LongRepairs
    | operations.BusyPeople
    | clocks.ClockSkew
    | clocks.ClockStands
    | clocks.Clock1970
    | clocks.ClockSeconds
    | clocks.NoTimestamp
    | clocks.NoBootId
    | clocks.RepeatedBootId
    | clocks.ShortSeq
    | registers.RegisterReset
    | registers.NearWrap
    | registers.Glitch
    | registers.Dip
    | broker_and_bridge.BrokerCut
    | broker_and_bridge.BridgeLinkLoss
    | broker_and_bridge.BridgeCut,
    Field(discriminator="kind"),
]
