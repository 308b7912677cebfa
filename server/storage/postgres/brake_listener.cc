#include "server/storage/postgres/brake_listener.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "ringfence/base/check.h"
#include "ringfence/base/status_macros.h"
#include "server/storage/postgres/json_codec.h"
#include "server/storage/postgres/session.h"

namespace ringfence::storage {
namespace {

constexpr char kChannel[] = "ringfence_brakes";
constexpr int kFirstBackOffMillis = 100;
constexpr int kLongestBackOffMillis = 5000;

}  // namespace

BrakeListener::BrakeListener(const PostgresOptions& options, Callback on_change)
    : options_(options), on_change_(std::move(on_change)), stop_fd_(eventfd(0, EFD_CLOEXEC)) {
  RF_CHECK(stop_fd_ >= 0);
  thread_ = std::thread([this] { Run(); });
}

BrakeListener::~BrakeListener() {
  RF_CHECK(eventfd_write(stop_fd_, 1) == 0);
  thread_.join();
  close(stop_fd_);
}

void BrakeListener::Run() {
  int back_off = kFirstBackOffMillis;
  for (;;) {
    has_listened_ = false;
    if (ListenOnce().ok()) return;
    if (has_listened_) back_off = kFirstBackOffMillis;
    pollfd stop{.fd = stop_fd_, .events = POLLIN, .revents = 0};
    if (poll(&stop, 1, back_off) > 0) return;
    back_off = std::min(2 * back_off, kLongestBackOffMillis);
  }
}

absl::Status BrakeListener::ListenOnce() {
  Watchdog watchdog;
  ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, Session::Connect(options_, watchdog));
  RETURN_IF_ERROR(session->Listen(kChannel, [this](const std::string& payload) {
    const auto notice = BrakeNoticeFromJson(payload);
    // What cannot be read may have been anything: the callback reads all brakes.
    on_change_(notice.ok() ? std::make_optional(BrakeNotice{notice->first, notice->second}) : std::nullopt);
  }));
  has_listened_ = true;
  on_change_(std::nullopt);
  for (;;) {
    RETURN_IF_ERROR(session->Receive());
    pollfd ready[] = {{.fd = session->socket(), .events = POLLIN, .revents = 0},
                      {.fd = stop_fd_, .events = POLLIN, .revents = 0}};
    if (poll(ready, 2, -1) < 0 && errno != EINTR) return absl::InternalError("poll");
    if (ready[1].revents != 0) return absl::OkStatus();
  }
}

}  // namespace ringfence::storage
