// Parts that many requests have.
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/api/decode.h"
#include "server/api/text.h"

namespace ringfence::api {
namespace {

constexpr int kDefaultPage = 100;
constexpr int kMaxPage = 1000;
constexpr char kSlugWanted[] = "1 to 63 of a-z, 0-9 and -";
constexpr int64_t kMaxSeconds = int64_t{10} * 365 * 24 * 3600;
constexpr int32_t kMaxNanos = 999'999'999;

}  // namespace

void CheckRequestId(const std::string& id, const std::string& path, Faults& faults) {
  if (id.empty() || id.size() > kMaxRequestIdBytes) {
    faults.Add(path, absl::StrCat(id.size(), " bytes"), absl::StrCat("1 to ", kMaxRequestIdBytes, " bytes"));
  } else if (!IsText(id)) {
    faults.Add(path, Shown(id), "UTF-8 without control characters");
  }
}

void CheckReason(const std::string& reason, Faults& faults) {
  if (reason.empty() || reason.size() > kMaxReasonBytes) {
    faults.Add("reason", absl::StrCat(reason.size(), " bytes"),
               absl::StrCat("1 to ", kMaxReasonBytes, " bytes"));
  } else if (!IsText(reason, /*lines=*/true)) {
    faults.Add("reason", Shown(reason), "UTF-8 without control characters");
  }
}

void CheckSlug(const std::string& text, const std::string& path, Faults& faults) {
  if (!IsSlug(text)) faults.Add(path, absl::StrCat("\"", Shown(text), "\""), kSlugWanted);
}

void CheckSlugOrEmpty(const std::string& text, const std::string& path, Faults& faults) {
  if (!text.empty()) CheckSlug(text, path, faults);
}

void CheckSerialOrZero(uint64_t serial, const std::string& path, Faults& faults) {
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  if (serial > kMost) faults.Add(path, absl::StrCat(serial), absl::StrCat("at most ", kMost));
}

void CheckSerial(uint64_t serial, const std::string& path, Faults& faults) {
  if (serial == 0) faults.Add(path, "0", "at least 1");
  CheckSerialOrZero(serial, path, faults);
}

absl::Duration DecodeDuration(bool present, const google::protobuf::Duration& in, const std::string& path,
                              Faults& faults) {
  if (!present) return absl::ZeroDuration();
  const int64_t seconds = in.seconds();
  const int32_t nanos = in.nanos();
  const bool malformed =
      nanos < -kMaxNanos || nanos > kMaxNanos || (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
  if (malformed) {
    faults.Add(path, absl::StrCat(seconds, " s and ", nanos, " ns"),
               "parts of the same sign, nanos below a second");
    return absl::ZeroDuration();
  }
  if (seconds < 0 || nanos < 0) {
    faults.Add(path, absl::StrCat(seconds, " s and ", nanos, " ns"), "zero or more");
    return absl::ZeroDuration();
  }
  if (seconds > kMaxSeconds) {
    faults.Add(path, absl::StrCat(seconds, " s"), "at most ten years");
    return absl::ZeroDuration();
  }
  return absl::Seconds(seconds) + absl::Nanoseconds(nanos);
}

int DecodePageSize(int32_t page_size, Faults& faults) {
  if (page_size < 0 || page_size > kMaxPage) {
    faults.Add("page_size", absl::StrCat(page_size), absl::StrCat("0 to ", kMaxPage));
    return kDefaultPage;
  }
  return page_size == 0 ? kDefaultPage : page_size;
}

Page DecodePage(int32_t page_size, const std::string& page_token, Faults& faults) {
  Page page{.limit = DecodePageSize(page_size, faults)};
  if (!page_token.empty() && (!absl::SimpleAtoi(page_token, &page.before) || page.before <= 0)) {
    faults.Add("page_token", Shown(page_token), "the next_page_token of an earlier answer");
  }
  return page;
}

}  // namespace ringfence::api
