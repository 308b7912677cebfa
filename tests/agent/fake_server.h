// A real gRPC server of the agent service whose answers a test writes. Listens on a free port of the
// loopback.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/mutex.h"
#include "ringfence/v1/agent.grpc.pb.h"

namespace ringfence::agent {

class FakeServer final : public v1::AgentService::Service {
 public:
  // `port` 0: any free one. `prepare` sets the answers of a server that may be called as soon as it listens.
  explicit FakeServer(int port = 0, const std::function<void(FakeServer&)>& prepare = nullptr) {
    if (prepare) prepare(*this);
    grpc::ServerBuilder builder;
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", port), grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    RF_CHECK(server_ != nullptr && port_ != 0);
  }
  ~FakeServer() override { server_->Shutdown(std::chrono::system_clock::now()); }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  int port() const { return port_; }

  // What it answers; set before the calls come. Called on gRPC's threads, one at a time.
  std::function<grpc::Status(const v1::EnrollRequest&, v1::EnrollResponse*)> on_enrol =
      [](const v1::EnrollRequest&, v1::EnrollResponse* response) {
        response->set_secret(std::string(32, 's'));
        response->set_tenant("acme");
        return grpc::Status::OK;
      };
  std::function<grpc::Status(const v1::CheckInRequest&, v1::CheckInResponse*)> on_check_in =
      [](const v1::CheckInRequest&, v1::CheckInResponse*) { return grpc::Status::OK; };
  std::function<grpc::Status(const v1::LeaseRequest&, v1::LeaseResponse*)> on_lease =
      [](const v1::LeaseRequest&, v1::LeaseResponse* response) {
        response->set_answer(v1::LEASE_ANSWER_GRANTED);
        response->mutable_ttl()->set_seconds(20);
        return grpc::Status::OK;
      };
  std::map<std::string, std::string> artifacts;  // by raw digest
  // Files of the release repository, by the name that is asked for; absent: it has none of that name.
  std::function<std::optional<std::string>(const std::string&)> on_metadata = [](const std::string&) {
    return std::nullopt;
  };
  // The signed plans and decisions that it hands out, all of them.
  std::function<std::vector<std::string>()> on_plan = [] { return std::vector<std::string>(); };
  int64_t break_downloads_after = -1;           // bytes; -1: never. Once.
  std::map<std::string, std::string> trailers;  // sent with every check-in
  grpc_compression_algorithm packs_check_ins = GRPC_COMPRESS_NONE;

  std::string last_authorization() {
    MutexLock lock(&mutex_);
    return last_authorization_;
  }
  std::vector<int64_t> download_offsets() {
    MutexLock lock(&mutex_);
    return download_offsets_;
  }

 private:
  grpc::Status Enroll(grpc::ServerContext* context, const v1::EnrollRequest* request,
                      v1::EnrollResponse* response) override {
    MutexLock lock(&mutex_);
    Note(context);
    return on_enrol(*request, response);
  }
  grpc::Status CheckIn(grpc::ServerContext* context, const v1::CheckInRequest* request,
                       v1::CheckInResponse* response) override {
    MutexLock lock(&mutex_);
    Note(context);
    for (const auto& [key, value] : trailers) context->AddTrailingMetadata(key, value);
    if (packs_check_ins != GRPC_COMPRESS_NONE) context->set_compression_algorithm(packs_check_ins);
    return on_check_in(*request, response);
  }
  grpc::Status Lease(grpc::ServerContext* context, const v1::LeaseRequest* request,
                     v1::LeaseResponse* response) override {
    MutexLock lock(&mutex_);
    Note(context);
    return on_lease(*request, response);
  }
  grpc::Status GetArtifact(grpc::ServerContext* context, const v1::GetArtifactRequest* request,
                           grpc::ServerWriter<v1::GetArtifactResponse>* writer) override {
    MutexLock lock(&mutex_);
    Note(context);
    download_offsets_.push_back(request->offset());
    const auto found = artifacts.find(request->digest());
    if (found == artifacts.end()) return {grpc::StatusCode::PERMISSION_DENIED, "not told to fetch it"};
    constexpr int64_t kChunk = 1000;
    const int64_t size = static_cast<int64_t>(found->second.size());
    for (int64_t at = request->offset(); at < size; at += kChunk) {
      if (break_downloads_after >= 0 && at >= break_downloads_after) {
        break_downloads_after = -1;
        return {grpc::StatusCode::UNAVAILABLE, "the connection broke"};
      }
      v1::GetArtifactResponse chunk;
      chunk.set_offset(at);
      chunk.set_size_bytes(size);
      chunk.set_data(found->second.substr(static_cast<size_t>(at), kChunk));
      writer->Write(chunk);
    }
    return grpc::Status::OK;
  }

  grpc::Status FetchMetadata(grpc::ServerContext* context, const v1::FetchMetadataRequest* request,
                             grpc::ServerWriter<v1::FetchMetadataResponse>* writer) override {
    MutexLock lock(&mutex_);
    Note(context);
    const std::optional<std::string> bytes = on_metadata(request->name());
    if (!bytes.has_value()) return {grpc::StatusCode::NOT_FOUND, "no such file"};
    constexpr size_t kChunk = 700;
    for (size_t at = 0; at == 0 || at < bytes->size(); at += kChunk) {
      v1::FetchMetadataResponse chunk;
      chunk.set_data(bytes->substr(at, kChunk));
      chunk.set_total(bytes->size());
      writer->Write(chunk);
    }
    return grpc::Status::OK;
  }

  grpc::Status FetchPlan(grpc::ServerContext* context, const v1::FetchPlanRequest*,
                         v1::FetchPlanResponse* response) override {
    MutexLock lock(&mutex_);
    Note(context);
    for (const std::string& envelope : on_plan()) response->add_envelopes(envelope);
    return grpc::Status::OK;
  }

  void Note(grpc::ServerContext* context) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto& metadata = context->client_metadata();
    const auto found = metadata.find("authorization");
    last_authorization_ =
        found == metadata.end() ? "" : std::string(found->second.data(), found->second.size());
  }

  Mutex mutex_;
  std::string last_authorization_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> download_offsets_ ABSL_GUARDED_BY(mutex_);
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace ringfence::agent
