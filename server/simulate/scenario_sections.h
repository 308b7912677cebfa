// The parts of a scenario file, one parser each. They throw Malformed (yaml_field.h).
#pragma once

#include "server/simulate/scenario.h"
#include "server/simulate/yaml_field.h"

namespace ringfence::replay {

policy::Selector ParseSelector(const Field& field);
LabelPairs ParseLabels(const Field& field);          // a list value gives one pair each
Distribution ParseDistribution(const Field& field);  // a bare duration is a fixed value

FleetSpec ParseFleet(const Field& field);
PlanSpec ParsePlan(const Field& field);
ReleaseSpec ParseRelease(const Field& field);
FaultSpec ParseFault(const Field& field);
ScenarioEvent ParseEvent(const Field& field);
// A bound of `must` is read strictly. In `stretch` what is not understood is kept by name only.
Bound ParseBound(const Field& field, bool strict);

}  // namespace ringfence::replay
