// ringfence plan sign: a plan, or one more signature under it. Asks the server only for the plan before, and
// believes it nothing: the hash of that plan is signed over.
#include <algorithm>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/plan/plan_chain.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/v1/plan.pb.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"
#include "server/cli/key_files.h"
#include "server/cli/plan_check.h"

namespace ringfence::cli {
namespace {

// A link that is signed already.
struct Before {
  plan::PlanStatement statement;
  Digest sha256;
};

absl::StatusOr<Before> ReadLink(absl::string_view envelope_json) {
  ASSIGN_OR_RETURN(const trust::Envelope envelope, trust::ParseEnvelope(envelope_json));
  if (envelope.payload_type != plan::kPlanPayloadType)
    return absl::InvalidArgumentError("found another document, wanted a signed plan");
  Before before;
  ASSIGN_OR_RETURN(before.statement, plan::ParsePlanPayload(envelope.payload));
  before.sha256 = Sha256(envelope.payload);
  return before;
}

// The plan before this one; nullopt: there is none.
absl::StatusOr<std::optional<Before>> FindBefore(Context& context, const PlanSignOptions& options,
                                                 const std::string& tenant) {
  std::string envelope;
  if (!options.previous.empty()) {
    ASSIGN_OR_RETURN(envelope, ReadFile(context.world(), options.previous, trust::kMaxEnvelopeBytes));
  } else if (!options.first) {
    v1::GetPlanRequest request;
    v1::GetPlanResponse response;
    request.set_tenant(tenant);
    const absl::Status status = context.remote().Call("PlanService/GetPlan", request, &response);
    if (!status.ok() && !absl::IsNotFound(status)) return status;
    envelope = response.envelope();
    if (envelope.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("the server knows no signed plan of ", tenant,
                       ": say --first to begin a chain, or name the plan before with --previous"));
    }
  }
  if (envelope.empty()) return std::optional<Before>();
  ASSIGN_OR_RETURN(Before before, ReadLink(envelope));
  return before;
}

absl::StatusOr<plan::PlanKeys> ReadHolders(Context& context, const std::vector<std::string>& files,
                                           int threshold) {
  plan::PlanKeys keys;
  for (const std::string& file : files) {
    ASSIGN_OR_RETURN(const NamedKey key, ReadPublicKey(context.world(), file));
    keys.keys.push_back({key.key, key.person});
  }
  keys.threshold = threshold > 0 ? threshold : static_cast<int>(std::min<size_t>(1, files.size()));
  return keys;
}

absl::StatusOr<plan::PlanStatement> MakeStatement(Context& context, const PlanSignOptions& options,
                                                  const policy::Plan& wanted) {
  ASSIGN_OR_RETURN(const std::optional<Before> before, FindBefore(context, options, wanted.tenant));
  plan::PlanStatement statement;
  statement.version = 1;
  if (before.has_value()) {
    if (before->statement.plan.tenant != wanted.tenant) {
      return absl::InvalidArgumentError(
          absl::StrCat("the plan before is of ", before->statement.plan.tenant, ", not of ", wanted.tenant));
    }
    statement.version = before->statement.version + 1;
    statement.prev = before->sha256;
    statement.keys = before->statement.keys;
    statement.recovery = before->statement.recovery;
  }
  if (!options.holders.empty()) {
    ASSIGN_OR_RETURN(statement.keys, ReadHolders(context, options.holders, options.threshold));
  } else if (options.threshold > 0) {
    statement.keys.threshold = options.threshold;
  }
  if (!options.recovery.empty()) {
    ASSIGN_OR_RETURN(statement.recovery, ReadHolders(context, options.recovery, options.recovery_threshold));
  }
  statement.issued_at = absl::FromUnixSeconds(absl::ToUnixSeconds(context.world().now()));
  statement.plan = wanted;
  return statement;
}

absl::Status SignIt(Context& context, const PlanSignOptions& options, const policy::Plan& wanted) {
  trust::Envelope envelope;
  plan::PlanStatement statement;
  if (options.add.empty()) {
    ASSIGN_OR_RETURN(statement, MakeStatement(context, options, wanted));
    envelope.payload_type = plan::kPlanPayloadType;
    ASSIGN_OR_RETURN(envelope.payload, plan::PlanPayload(statement));
    RETURN_IF_ERROR(plan::ParsePlanPayload(envelope.payload).status());  // as everybody will read it
  } else {
    ASSIGN_OR_RETURN(const std::string draft,
                     ReadFile(context.world(), options.add, trust::kMaxEnvelopeBytes));
    ASSIGN_OR_RETURN(envelope, trust::ParseEnvelope(draft));
    ASSIGN_OR_RETURN(const Before before, ReadLink(draft));
    statement = before.statement;
    if (!(statement.plan == wanted)) {
      return absl::FailedPreconditionError(
          absl::StrCat(options.add, " holds another plan than ", options.file));
    }
  }
  for (const std::string& file : options.keys) {
    ASSIGN_OR_RETURN(const trust::SigningKey key,
                     ReadPersonsKey(context.world(), file, options.passphrase_file));
    trust::Sign(key, &envelope);
  }
  const std::string document = trust::SerializeEnvelope(envelope);
  if (document.size() > trust::kMaxEnvelopeBytes)
    return absl::InvalidArgumentError(
        "the plan is too large to be signed: wanted at most 256 KiB with signatures");
  RETURN_IF_ERROR(WriteDocument(context.world(), options.write, document));
  std::vector<trust::PublicKey> trusted;
  for (const plan::PlanKey& key : statement.keys.keys) trusted.push_back(key.key);
  const Digest sha256 = Sha256(envelope.payload);
  context.err() << "signed plan " << statement.version << " of " << statement.plan.tenant << ", sha256 "
                << sha256.ToString() << ": " << trust::Signers(envelope, trusted).size() << " of the "
                << statement.keys.keys.size() << " keys that it names, of which it wants "
                << statement.keys.threshold << "\n";
  if (statement.version == 1) {
    context.err() << "  next: pin it on your hosts: ringfence-agent --tenant-root " << sha256.ToString()
                  << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

int PlanSign(Context& context, const PlanSignOptions& options) {
  const LoadedPlan loaded = LoadPlan(context, options.file);
  if (loaded.exit_code != kOk) return loaded.exit_code;
  if (!loaded.envelope.empty()) return context.Usage("the file is signed already; name the plan's YAML file");
  const CheckedPlan checked = CheckPlan(loaded.parsed);
  if (!checked.faults.empty()) {
    context.err() << Render(options.file, checked.faults);
    return kUsage;
  }
  const absl::Status status = SignIt(context, options, checked.plan);
  if (status.ok()) return kOk;
  if (absl::IsFailedPrecondition(status) || absl::IsPermissionDenied(status)) {
    context.err() << "ringfence: not signed: " << Printable(std::string(status.message())) << "\n";
    return kRefused;
  }
  return absl::IsInvalidArgument(status) ? context.Usage(status.message()) : context.Fail(status);
}

}  // namespace ringfence::cli
