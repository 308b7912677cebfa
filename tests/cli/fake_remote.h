// A server made of answers: a test says what each method returns and looks at what was asked.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/cli/remote.h"

namespace ringfence::cli {

class FakeServer {
 public:
  struct Answer {
    absl::Status status;
    std::vector<std::string> messages;  // serialized; a call takes the first, a stream all
  };
  // What the method answers from now on.
  void On(const std::string& method, const google::protobuf::Message& message) {
    answers_[method] = {absl::OkStatus(), {message.SerializeAsString()}};
  }
  void Then(const std::string& method, const google::protobuf::Message& message) {
    answers_[method].messages.push_back(message.SerializeAsString());
  }
  void Fail(const std::string& method, absl::Status status) { answers_[method] = {std::move(status), {}}; }

  // The last request of the method, as text; empty if there was none.
  std::string Asked(const std::string& method) const {
    const auto found = asked_.find(method);
    return found == asked_.end() ? "" : found->second;
  }
  const RemoteOptions& options() const { return options_; }
  size_t uploaded() const { return uploaded_; }

  std::unique_ptr<Remote> Connect(RemoteOptions options) {
    options_ = std::move(options);
    return std::make_unique<FakeRemote>(this);
  }

 private:
  class FakeRemote final : public Remote {
   public:
    explicit FakeRemote(FakeServer* server) : server_(server) {}
    absl::Status Call(absl::string_view method, const google::protobuf::Message& request,
                      google::protobuf::Message* response) override {
      server_->asked_[std::string(method)] = request.ShortDebugString();
      const auto found = server_->answers_.find(std::string(method));
      if (found == server_->answers_.end())
        return absl::UnimplementedError(absl::StrCat("nobody answers ", method));
      if (!found->second.messages.empty()) response->ParseFromString(found->second.messages[0]);
      return found->second.status;
    }
    absl::Status Download(absl::string_view method, const google::protobuf::Message& request,
                          google::protobuf::Message* response, const std::function<bool()>& each) override {
      server_->asked_[std::string(method)] = request.ShortDebugString();
      const Answer& answer = server_->answers_[std::string(method)];
      for (const std::string& message : answer.messages) {
        response->ParseFromString(message);
        if (!each()) return absl::OkStatus();
      }
      return answer.status;
    }
    absl::Status Upload(absl::string_view method, google::protobuf::Message* request,
                        const std::function<bool()>& next, google::protobuf::Message* response) override {
      bool first = true;
      while (next()) {
        if (first) server_->asked_[std::string(method)] = request->ShortDebugString();
        if (!first) server_->uploaded_ += request->ByteSizeLong();
        first = false;
      }
      const Answer& answer = server_->answers_[std::string(method)];
      if (!answer.messages.empty()) response->ParseFromString(answer.messages[0]);
      return answer.status;
    }

   private:
    FakeServer* server_;
  };

  std::map<std::string, Answer> answers_;
  std::map<std::string, std::string> asked_;
  RemoteOptions options_;
  size_t uploaded_ = 0;
};

}  // namespace ringfence::cli
