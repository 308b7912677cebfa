// Metrics of what happened to hosts, of load, and of the answers of the API. Names as in the format.
#pragma once

#include "bounds.h"

namespace ringfence::replay {

MetricValue PublishResult(const RunView& run, const Bound& bound);
MetricValue RefusalClass(const RunView& run, const Bound& bound);
MetricValue Refusals(const RunView& run, const Bound& bound);
MetricValue OfferedBadFiles(const RunView& run, const Bound& bound);

MetricValue OfferedHosts(const RunView& run, const Bound& bound);
MetricValue ExposedHosts(const RunView& run, const Bound& bound);
MetricValue HarmedHosts(const RunView& run, const Bound& bound);
MetricValue CustomerHostsHarmed(const RunView& run, const Bound& bound);
MetricValue RescuedHosts(const RunView& run, const Bound& bound);
// After people excluded the cohort and resumed: did 95 % of all others get it, and nobody more come to harm?
MetricValue ResumeExcluding(const RunView& run, const Bound& bound);
// Were all hosts that announced an upgrade out of the matrix told to go back before it?
MetricValue HoldBeforeReboot(const RunView& run, const Bound& bound);
MetricValue RecoveredFraction(const RunView& run, const Bound& bound);
MetricValue MinutesToLastOffer(const RunView& run, const Bound& bound);
MetricValue ContainedIn(const RunView& run, const Bound& bound);
MetricValue ContainedInAny(const RunView& run, const Bound& bound);
MetricValue Coverage(const RunView& run, const Bound& bound);

MetricValue RevertOffersInAnyMinute(const RunView& run, const Bound& bound);
MetricValue PeakRequests(const RunView& run, const Bound& bound);
MetricValue MinutesToServe(const RunView& run, const Bound& bound);

// The version that a bound speaks of: the release it names, else the newest published. Null when there is
// none.
const PublishRecord* FindPublish(const RunView& run, const Bound& bound);
// Is the version one that the bound speaks of? Without a name: every one.
bool SpeaksOf(const RunView& run, const Bound& bound, uint16_t version);

}  // namespace ringfence::replay
