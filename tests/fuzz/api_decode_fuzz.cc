// Decoders of requests against any bytes: the first byte chooses the message, the rest is its wire form.
// Whatever parses must decode to a value or to a list of faults, and what decodes must survive the way out
// and back in.
#include <cstddef>
#include <cstdint>
#include <string>

#include "ringfence/base/check.h"
#include "server/api/decode.h"
#include "server/api/encode.h"
#include "server/api/identity.h"

namespace ringfence::api {
namespace {

template <typename Message>
bool Parse(const std::string& bytes, Message* message) {
  return message->ParseFromString(bytes);
}

void CheckStatus(const absl::Status& status) {
  if (status.ok()) return;
  RF_CHECK(absl::IsInvalidArgument(status));
  RF_CHECK(status.GetPayload(kFaultListUrl).has_value());
  RF_CHECK(status.message().size() < 8000);  // fits into a trailer
}

void FuzzCheckIn(const std::string& bytes) {
  v1::CheckInRequest message;
  if (!Parse(bytes, &message)) return;
  CheckInInput input;
  const absl::Status status = Decode(message, AgentId(), &input);
  CheckStatus(status);
  if (!status.ok()) return;
  RF_CHECK(!input.request.boot_id.empty());
  RF_CHECK(input.request.labels_hash.size() == 16);
  for (size_t i = 1; i < input.request.running.size(); ++i) {
    RF_CHECK(input.request.running[i - 1].channel < input.request.running[i].channel);
  }
}

void FuzzPlan(const std::string& bytes) {
  v1::Plan message;
  if (!Parse(bytes, &message)) return;
  Faults faults;
  const policy::Plan plan = DecodePlan(message, "plan", faults);
  CheckStatus(faults.ToStatus());
  if (!faults.empty()) return;
  RF_CHECK(policy::Validate(plan).empty());
  v1::Plan again;
  Encode(plan, &again);
  RF_CHECK(DecodePlan(again, "plan", faults) == plan);
  RF_CHECK(faults.empty());
}

void FuzzManifest(const std::string& bytes) {
  v1::ReleaseManifest message;
  if (!Parse(bytes, &message)) return;
  Faults faults;
  const policy::Release release = DecodeManifest(message, "header.manifest", faults);
  CheckStatus(faults.ToStatus());
  if (!faults.empty()) return;
  v1::ReleaseManifest again;
  Encode(release, &again);
  RF_CHECK(DecodeManifest(again, "", faults) == release);
  RF_CHECK(faults.empty());
}

template <typename Message, typename Value>
void FuzzOther(const std::string& bytes, Value* value) {
  Message message;
  if (Parse(bytes, &message)) CheckStatus(Decode(message, value));
}

void FuzzScope(const std::string& bytes) {
  v1::Scope message;
  if (!Parse(bytes, &message)) return;
  Faults faults;
  const storage::Scope scope = DecodeScope(message, "scope", faults);
  CheckStatus(faults.ToStatus());
  RF_CHECK(!faults.empty() || scope.serial == 0 || !scope.channel.empty());
}

}  // namespace
}  // namespace ringfence::api

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ringfence::api;  // NOLINT: the entry point has to be global
  namespace v1 = ringfence::v1;
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 9) {
    case 0:
      FuzzCheckIn(bytes);
      break;
    case 1:
      FuzzPlan(bytes);
      break;
    case 2:
      FuzzManifest(bytes);
      break;
    case 3: {
      ringfence::app::EnrolRequest value;
      FuzzOther<v1::EnrollRequest>(bytes, &value);
      break;
    }
    case 4: {
      v1::LeaseRequest message;
      ringfence::app::LeaseRequest value;
      if (message.ParseFromString(bytes)) CheckStatus(Decode(message, ringfence::AgentId(), &value));
      break;
    }
    case 5: {
      ArtifactRange value;
      FuzzOther<v1::GetArtifactRequest>(bytes, &value);
      break;
    }
    case 6:
      FuzzScope(bytes);
      break;
    case 7: {
      MetadataRange value;
      FuzzOther<v1::FetchMetadataRequest>(bytes, &value);
      break;
    }
    default:
      // Texts that are no messages: a credential.
      (void)ParseAgentCredential(bytes).ok();
      break;
  }
  return 0;
}
