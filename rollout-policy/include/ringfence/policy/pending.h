// What a host is about to be. `pending.kernel=6.1.0-20` beside `kernel=6.1.0-18` says that it boots into the
// newer kernel soon: harm that waits for it can still be avoided.
#pragma once

#include <string>

#include "ringfence/policy/labels.h"
#include "ringfence/policy/release.h"

namespace ringfence::policy {

// The labels once everything pending has come true: the values of `pending.<key>` take the place of <key>'s.
Labels OncePending(const Labels& labels);

// Is the host covered by the release's matrix now, and no more once what is pending has come true? Then the
// label value that takes it out ("kernel=6.1.0-20"; the first one, where several do so together); otherwise
// empty.
std::string AboutToLeave(const Release& release, const Labels& labels);

}  // namespace ringfence::policy
