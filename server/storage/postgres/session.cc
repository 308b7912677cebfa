#include "server/storage/postgres/session.h"

#include <libpq-fe.h>

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::storage {
namespace {

// Without the trailing newline, and without the statement that libpqxx appends to some messages.
std::string Message(const std::exception& error) {
  absl::string_view text = error.what();
  while (absl::ConsumeSuffix(&text, "\n")) {
  }
  return std::string(text);
}

// Deprecated, and without a successor in this version.
void ForbidReactivation(pqxx::connection& connection) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  connection.inhibit_reactivation(true);
#pragma GCC diagnostic pop
}

class NoticeReceiver final : public pqxx::notification_receiver {
 public:
  NoticeReceiver(pqxx::connection_base& connection, const std::string& channel,
                 std::function<void(const std::string&)> on_notice)
      : pqxx::notification_receiver(connection, channel), on_notice_(std::move(on_notice)) {}
  void operator()(const std::string& payload, int) override { on_notice_(payload); }

 private:
  const std::function<void(const std::string&)> on_notice_;
};

absl::Status FromSqlState(const std::string& state, const std::string& message) {
  const auto in_class = [&](const char* prefix) { return absl::StartsWith(state, prefix); };
  if (state == "40001" || state == "40P01") return absl::AbortedError(message);
  // Connection lost, out of resources (disk full, too many sessions), cancelled by a time-out, shut down,
  // read-only after a failover: the database cannot work now.
  if (in_class("08") || in_class("53") || in_class("57") || in_class("58") || state == "25006" ||
      state == "25P03" || state == "55P03") {
    return absl::UnavailableError(message);
  }
  if (state == "23505") return absl::AlreadyExistsError(message);
  if (state == "2200H") return absl::ResourceExhaustedError(message);
  if (in_class("22") || in_class("23")) return absl::InvalidArgumentError(message);
  return absl::InternalError(absl::StrCat(message, " (", state, ")"));
}

}  // namespace

absl::StatusOr<std::string> WithTimeouts(const PostgresOptions& options) {
  char* raw_error = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> given(
      PQconninfoParse(options.connection_string.c_str(), &raw_error), &PQconninfoFree);
  const std::unique_ptr<char, decltype(&PQfreemem)> error(raw_error, &PQfreemem);
  if (given == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("database URL: ", raw_error != nullptr ? raw_error : "unreadable"));
  }
  const int64_t patience =
      std::max<int64_t>(1, absl::ToInt64Milliseconds(options.statement_timeout + options.answer_patience));
  std::map<std::string, std::string> keywords = {
      {"connect_timeout", absl::StrCat(std::max<int64_t>(2, absl::ToInt64Seconds(options.connect_timeout)))},
      {"application_name", "ringfence"},
      {"keepalives", "1"},
      {"keepalives_idle", "10"},
      {"keepalives_interval", "5"},
      {"keepalives_count", "3"},
      {"tcp_user_timeout", absl::StrCat(patience)},
  };
  for (const PQconninfoOption* option = given.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) keywords[option->keyword] = option->val;
  }
  std::string text;
  for (const auto& [keyword, value] : keywords) {
    absl::StrAppend(&text, keyword, "='", absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"'", "\\'"}}), "' ");
  }
  return text;
}

// Runs one exchange with the server under the watchdog and turns what it throws into a status.
template <typename F>
absl::Status Session::Guard(F call) {
  if (broken_) return absl::UnavailableError("database: the session is broken");
  if (watch_ != nullptr) watch_->Begin(options_.statement_timeout + options_.answer_patience);
  absl::Status status;
  try {
    call();
  } catch (const pqxx::in_doubt_error& error) {
    status = absl::DeadlineExceededError(absl::StrCat("commit in doubt: ", Message(error)));
  } catch (const pqxx::broken_connection& error) {
    status = absl::UnavailableError(absl::StrCat("database: ", Message(error)));
    broken_ = true;
  } catch (const pqxx::sql_error& error) {
    status = FromSqlState(error.sqlstate(), Message(error));
  } catch (const pqxx::deadlock_detected& error) {
    status = absl::AbortedError(Message(error));
  } catch (const pqxx::serialization_failure& error) {
    status = absl::AbortedError(Message(error));
  } catch (const pqxx::statement_completion_unknown& error) {
    status = absl::DeadlineExceededError(Message(error));
  } catch (const std::exception& error) {
    status = absl::InternalError(Message(error));
  }
  if (watch_ != nullptr) watch_->End();
  if (connection_ == nullptr || !connection_->is_open()) broken_ = true;
  // A session that was shut down says so in words, or as a plain failure: what matters is that it is gone.
  if (broken_ && !status.ok() && status.code() != absl::StatusCode::kDeadlineExceeded) {
    status = absl::UnavailableError(absl::StrCat("database: ", status.message()));
  }
  return status;
}

absl::StatusOr<std::unique_ptr<Session>> Session::Connect(const PostgresOptions& options,
                                                          Watchdog& watchdog) {
  ASSIGN_OR_RETURN(const std::string parameters, WithTimeouts(options));
  std::unique_ptr<Session> session(new Session(options));
  RETURN_IF_ERROR(session->Guard([&] {
    session->connection_ = std::make_unique<pqxx::connection>(parameters);
    ForbidReactivation(*session->connection_);
    session->quiet_ = std::make_unique<pqxx::quiet_errorhandler>(*session->connection_);
    session->connection_->set_client_encoding("UTF8");
  }));
  session->watch_ = std::make_unique<Watchdog::Watch>(watchdog, session->connection_->sock());
  RETURN_IF_ERROR(session->Guard([&] {
    pqxx::nontransaction work(*session->connection_);
    work.exec_params(statements::kPrepareSession.sql,
                     absl::StrCat(std::max<int64_t>(1, absl::ToInt64Milliseconds(options.statement_timeout))),
                     absl::StrCat(std::max<int64_t>(1, absl::ToInt64Milliseconds(options.idle_timeout))));
  }));
  return session;
}

Session::~Session() {
  RollBack();
}

absl::Status Session::Begin() {
  return Guard([&] { work_ = std::make_unique<pqxx::work>(*connection_); });
}

absl::Status Session::Commit() {
  const absl::Status status = Guard([&] { work_->commit(); });
  // Its destructor may talk to the server once more (a failed commit is rolled back), and must not throw out
  // of here.
  RollBack();
  return status;
}

void Session::RollBack() {
  if (work_ == nullptr) return;
  const absl::Status ignored = broken_ ? absl::OkStatus() : Guard([&] { work_->abort(); });
  work_.reset();
}

absl::StatusOr<pqxx::result> Session::Run(const Statement& statement,
                                          const std::vector<std::string>& parameters) {
  for (const std::string& parameter : parameters) {
    if (parameter.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat(statement.name, ": a text holds a zero byte"));
    }
  }
  pqxx::result result;
  RETURN_IF_ERROR(Guard([&] {
    if (prepared_.insert(statement.name).second) connection_->prepare(statement.name, statement.sql);
    result = work_->exec_prepared(statement.name, pqxx::prepare::make_dynamic_params(parameters));
  }));
  return result;
}

absl::StatusOr<pqxx::result> Session::RunBinary(const Statement& statement,
                                                const std::vector<std::string>& parameters) {
  pqxx::result result;
  RETURN_IF_ERROR(Guard([&] {
    if (prepared_.insert(statement.name).second) connection_->prepare(statement.name, statement.sql);
    // The type says the form: libpqxx sends a binarystring as it is.
    std::vector<pqxx::binarystring> raw;
    raw.reserve(parameters.size());
    for (const std::string& parameter : parameters) raw.emplace_back(parameter);
    result = work_->exec_prepared(statement.name, pqxx::prepare::make_dynamic_params(raw));
  }));
  return result;
}

absl::Status Session::RunScript(const std::string& script) {
  return Guard([&] { work_->exec(script); });
}

absl::Status Session::Listen(const std::string& channel,
                             std::function<void(const std::string& payload)> on_notice) {
  return Guard([&] {
    receivers_.push_back(std::make_unique<NoticeReceiver>(*connection_, channel, std::move(on_notice)));
  });
}

absl::Status Session::Receive() {
  return Guard([&] { connection_->get_notifs(); });
}

}  // namespace ringfence::storage
