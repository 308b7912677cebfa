#include "server/app/acts.h"

#include "ringfence/base/status_macros.h"
#include "server/app/app.h"

namespace ringfence::app {

absl::Status CheckAct(const Act& act) {
  if (act.request_id.empty() || act.request_id.size() > 64) {
    return absl::InvalidArgumentError("request_id: wanted 1 to 64 bytes");
  }
  return absl::OkStatus();
}

storage::AuditRow AuditOf(const Act& act, absl::Time at, std::string what, std::string target) {
  storage::AuditRow audit;
  audit.at = at;
  audit.person = act.actor.person;
  audit.role = Name(act.actor.role);
  audit.act = std::move(what);
  audit.target = std::move(target);
  audit.reason = act.reason;
  audit.request_id = act.request_id;
  return audit;
}

Request RequestFor(const char* what, const HashInput& wanted) {
  HashInput all;
  all.String(what).Raw(wanted.bytes());
  return {what, Sha256(all.bytes())};
}

absl::StatusOr<std::optional<storage::RequestRow>> Answered(storage::Transaction& tx,
                                                            const storage::RequestRow& wanted) {
  ASSIGN_OR_RETURN(std::optional<storage::RequestRow> known, tx.FindRequest(wanted.request_id));
  if (known.has_value() && (known->fingerprint != wanted.fingerprint || known->person != wanted.person)) {
    return absl::InvalidArgumentError("request_id: was used for another request");
  }
  return known;
}

absl::StatusOr<std::optional<storage::RequestRow>> Answered(storage::Transaction& tx, const Act& act,
                                                            const Request& request) {
  return Answered(tx, Kept(act, request, absl::InfinitePast()));
}

storage::RequestRow Kept(const Act& act, const Request& request, absl::Time at, std::string answer) {
  return {act.request_id, act.actor.person, request.what, request.fingerprint, std::move(answer), at};
}

absl::Status KeepAnswer(storage::Transaction& tx, const Act& act, const Request& request, absl::Time at,
                        std::string answer) {
  return tx.PutRequest(Kept(act, request, at, std::move(answer)));
}

std::string Pack(absl::Span<const std::string> texts) {
  HashInput packed;
  for (const std::string& text : texts) packed.String(text);
  return std::string(packed.bytes());
}

absl::StatusOr<std::vector<std::string>> Unpack(absl::string_view packed) {
  std::vector<std::string> texts;
  while (!packed.empty()) {
    size_t length = 0;
    for (size_t i = 0; i < 4 && i < packed.size(); ++i)
      length = length << 8 | static_cast<unsigned char>(packed[i]);
    if (packed.size() < 4 || packed.size() - 4 < length)
      return absl::DataLossError("a kept answer is cut off");
    texts.emplace_back(packed.substr(4, length));
    packed.remove_prefix(4 + length);
  }
  return texts;
}

}  // namespace ringfence::app
