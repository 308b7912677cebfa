#include "release_desk.h"

#include <utility>

#include "ringfence/base/status_macros.h"
#include "ringfence/tuf/folder_store.h"
#include "ringfence/tuf/updater.h"

namespace ringfence::agent {

ReleaseDesk::ReleaseDesk(ReleaseVerifier* verifier, tuf::Fetcher* metadata, Clock* clock,
                         absl::Duration recheck_after)
    : verifier_(verifier), metadata_(metadata), clock_(clock), recheck_after_(recheck_after) {
  thread_ = std::thread([this] { Run(); });
}

ReleaseDesk::~ReleaseDesk() {
  Close();
}

void ReleaseDesk::Close() {
  {
    MutexLock lock(&mutex_);
    closed_ = true;
    questions_.clear();
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void ReleaseDesk::Ask(std::function<void()> question) {
  MutexLock lock(&mutex_);
  if (closed_) return;
  questions_.push_back(std::move(question));
  wake_.notify_one();
}

void ReleaseDesk::Run() {
  for (;;) {
    std::function<void()> question;
    {
      MutexLock lock(&mutex_);
      while (!closed_ && questions_.empty()) wake_.wait(lock.native());
      if (closed_) return;
      question = std::move(questions_.front());
      questions_.pop_front();
    }
    question();
  }
}

void ReleaseDesk::Refresh(Done done) {
  Ask([this, done = std::move(done)] { done(verifier_->Refresh(*metadata_)); });
}

void ReleaseDesk::Offered(Offer offer, Done done) {
  Ask([this, offer = std::move(offer), done = std::move(done)] {
    done(verifier_->CheckOffer(offer, *metadata_));
  });
}

absl::Status ReleaseDesk::LookAt(const Offer& offer, const std::string& path) {
  passed_.reset();
  ASSIGN_OR_RETURN(const std::string bytes, tuf::ReadFile(path, tuf::kMaxTargetBytes));
  RETURN_IF_ERROR(verifier_->CheckStaged(offer, bytes));
  passed_ = offer;
  passed_at_ = clock_->Now();
  return absl::OkStatus();
}

void ReleaseDesk::Staged(Offer offer, std::string path, Done done) {
  Ask([this, offer = std::move(offer), path = std::move(path), done = std::move(done)] {
    if (verifier_->LastOffered() == offer) return done(LookAt(offer, path));
    const absl::Status offered = verifier_->CheckOffer(offer, *metadata_);
    done(offered.ok() ? LookAt(offer, path) : offered);
  });
}

void ReleaseDesk::BeforeLease(Offer offer, std::string path, Done done) {
  Ask([this, offer = std::move(offer), path = std::move(path), done = std::move(done)] {
    if (passed_ == offer && clock_->Now() < passed_at_ + recheck_after_) return done(absl::OkStatus());
    const absl::Status offered = verifier_->CheckOffer(offer, *metadata_);
    done(offered.ok() ? LookAt(offer, path) : offered);
  });
}

}  // namespace ringfence::agent
