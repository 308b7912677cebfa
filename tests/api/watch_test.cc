// WatchRollout: the rollout now, after each change, and an orderly end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "ringfence/v1/rollout.grpc.pb.h"
#include "tests/api/test_server.h"

namespace ringfence::api {
namespace {

using grpc::StatusCode;

app::RolloutInfo AtVersion(uint64_t version) {
  app::RolloutInfo info;
  info.release.release.channel = "content";
  info.release.release.serial = 7;
  info.version = version;
  return info;
}

class WatchTest : public testing::Test {
 protected:
  WatchTest() {
    server_.app().SetRollout(AtVersion(1));
    request_.set_channel("content");
  }

  void Watch(const char* token = kSreToken) {
    Authorize(context_, token);
    reader_ = stub_->WatchRollout(&context_, request_);
  }
  // The version of the next answer; 0 when the stream ended.
  uint64_t Next() {
    v1::WatchRolloutResponse response;
    return reader_->Read(&response) ? response.rollout().version() : 0;
  }
  void Change(uint64_t version) {
    server_.app().SetRollout(AtVersion(version));
    server_.app().TellWatchers();
  }

  TestServer server_;
  std::unique_ptr<v1::RolloutService::Stub> stub_ = v1::RolloutService::NewStub(server_.channel());
  v1::WatchRolloutRequest request_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchRolloutResponse>> reader_;
};

TEST_F(WatchTest, ShowsTheRolloutNowAndAfterEachChange) {
  Watch();
  EXPECT_EQ(Next(), 1u);
  Change(2);
  EXPECT_EQ(Next(), 2u);
  Change(3);
  EXPECT_EQ(Next(), 3u);
}

TEST_F(WatchTest, SaysNothingTwice) {
  Watch();
  EXPECT_EQ(Next(), 1u);
  server_.app().TellWatchers();  // another rollout changed
  Change(2);
  EXPECT_EQ(Next(), 2u);
}

TEST_F(WatchTest, ShowsATenantItsOwnStagesOnly) {
  Watch(kViewerToken);
  EXPECT_EQ(Next(), 1u);
  EXPECT_THAT(server_.app().calls(), testing::Each("GetRollout:acme"));
}

TEST_F(WatchTest, EndsWhenTheCallerEndsIt) {
  Watch();
  EXPECT_EQ(Next(), 1u);
  context_.TryCancel();
  EXPECT_EQ(Next(), 0u);
  EXPECT_EQ(reader_->Finish().error_code(), StatusCode::CANCELLED);
}

TEST_F(WatchTest, EndsWhenTheServerStops) {
  Watch();
  EXPECT_EQ(Next(), 1u);
  server_.server().Stop(absl::Minutes(1));  // does not wait for watches
  EXPECT_EQ(Next(), 0u);
  EXPECT_EQ(reader_->Finish().error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(WatchTest, EndsWhenThereIsNoSuchRollout) {
  server_.app().error = absl::NotFoundError("rollout: nothing was published");
  Watch();
  EXPECT_EQ(Next(), 0u);
  EXPECT_EQ(reader_->Finish().error_code(), StatusCode::NOT_FOUND);
}

TEST_F(WatchTest, IsRefusedWithoutACredential) {
  Watch("");
  EXPECT_EQ(Next(), 0u);
  EXPECT_EQ(reader_->Finish().error_code(), StatusCode::UNAUTHENTICATED);
}

TEST_F(WatchTest, RefusesAChannelThatIsNone) {
  request_.set_channel("Not A Slug");
  Watch();
  EXPECT_EQ(Next(), 0u);
  EXPECT_EQ(reader_->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace ringfence::api
