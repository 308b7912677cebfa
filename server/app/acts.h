// What every act of a person leaves behind: who did it, and the answer under its request id.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ringfence/base/hash.h"
#include "server/app/messages.h"
#include "server/storage/store.h"

namespace ringfence::app {

absl::Status CheckAct(const Act& act);

storage::AuditRow AuditOf(const Act& act, absl::Time at, std::string what, std::string target);

// `what` and what it asks for: the same id with another fingerprint is another request.
struct Request {
  const char* what = "";
  Digest fingerprint;
};
Request RequestFor(const char* what, const HashInput& wanted);

// The answer of an earlier call with this id, or nothing. InvalidArgument when that call was another person's
// or asked for something else.
absl::StatusOr<std::optional<storage::RequestRow>> Answered(storage::Transaction& tx, const Act& act,
                                                            const Request& request);
absl::StatusOr<std::optional<storage::RequestRow>> Answered(storage::Transaction& tx,
                                                            const storage::RequestRow& wanted);
// What is kept of a call; Answered finds it. An answer is empty where the rows themselves say it all.
storage::RequestRow Kept(const Act& act, const Request& request, absl::Time at, std::string answer = "");
// Keeps the answer; in the transaction of what the call did.
absl::Status KeepAnswer(storage::Transaction& tx, const Act& act, const Request& request, absl::Time at,
                        std::string answer = "");

// Texts as one answer, and back. DataLoss when it is none of Pack's.
std::string Pack(absl::Span<const std::string> texts);
absl::StatusOr<std::vector<std::string>> Unpack(absl::string_view packed);

}  // namespace ringfence::app
