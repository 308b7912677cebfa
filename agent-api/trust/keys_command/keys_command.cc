#include "keys_command.h"

#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "actions.h"
#include "ringfence/base/version.h"

namespace ringfence::tuf {
namespace {

constexpr char kFooter[] =
    "A ceremony: new-key for each person; new-root and new-targets make drafts; each person signs the "
    "drafts\n"
    "of a role that is theirs; publish puts what has enough signatures in its place. docs/trust.md walks\n"
    "through it. Exit codes: 0 done, 1 refused, 2 wrong usage.\n";

using Action = absl::Status (KeysCommand::*)();

void AddExpiry(CLI::App* app, KeysOptions* options) {
  app->add_option("--expires-days", options->expires_days,
                  "Days until it expires, in place of the role's own")
      ->check(CLI::Range(1, 3650));
}

void AddRoleKeys(CLI::App* app, KeysOptions* options) {
  app->add_option("--key", options->role_keys, "ROLE=FILE; repeated")->allow_extra_args(false);
  app->add_option("--threshold", options->thresholds, "ROLE=N, where a role has several keys")
      ->allow_extra_args(false);
}

void AddPassphrase(CLI::App* app, KeysOptions* options) {
  app->add_option("--passphrase-file", options->passphrase_file,
                  "Its first line, for every sealed key; else you are asked");
}

void AddRelease(CLI::App* app, KeysOptions* options) {
  app->add_option("--artifact", options->artifact, "The file that is released: the one that was tested")
      ->required();
  app->add_option("--kind", options->kind, "content or sensor")->capture_default_str();
  app->add_option("--channel", options->channel)->required();
  app->add_option("--release-version", options->version, "For people")->required();
  app->add_option("--serial", options->serial, "Higher than any before in the channel")->required();
  app->add_option("--rollback-floor", options->rollback_floor, "No host may be ordered back behind it")
      ->capture_default_str();
  app->add_option("--platform", options->platforms, "A + at the end means: or later")
      ->allow_extra_args(false)
      ->required();
  app->add_option("--sensor-min", options->sensor_min)->required();
  app->add_option("--sensor-max", options->sensor_max)->required();
  app->add_option("--schema", options->schemas, "NAME=FIELDS, of content")->allow_extra_args(false);
  app->add_option("--qualification", options->envelopes, "File of an envelope")
      ->allow_extra_args(false)
      ->required();
  app->add_option("--lab", options->lab, "Its name, for people")->capture_default_str();
  app->add_flag("--urgent", options->urgent);
}

}  // namespace

absl::StatusOr<std::string> AskOnTerminal(const std::string& file) {
  termios before;
  if (::isatty(STDIN_FILENO) == 0 || ::tcgetattr(STDIN_FILENO, &before) != 0)
    return absl::FailedPreconditionError(
        absl::StrCat(file, ": nobody to ask for the passphrase: use --passphrase-file"));
  termios silent = before;
  silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  std::cerr << "passphrase of " << file << ": " << std::flush;
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  std::string passphrase;
  std::getline(std::cin, passphrase);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
  std::cerr << "\n";
  return passphrase;
}

int RunKeysCommand(const std::vector<std::string>& args, Clock& clock, const AskPassphrase& ask,
                   std::ostream& out, std::ostream& err) {
  KeysOptions options;
  CLI::App app("Keys, roots and releases of a repository of signed metadata.", "ringfence-keys");
  app.set_version_flag("--version", VersionOf("ringfence-keys"));
  app.footer(kFooter);
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, Action>> actions;
  const auto command = [&](const char* name, const char* text, Action action, bool repository = true) {
    CLI::App* sub = app.add_subcommand(name, text);
    if (repository)
      sub->add_option("REPOSITORY", options.repository, "Folder with metadata/, targets/ and drafts/")
          ->required();
    actions.emplace_back(sub, action);
    return sub;
  };

  CLI::App* key = command("new-key", "Makes a key and seals it", &KeysCommand::NewKey, false);
  key->add_option("--out", options.output, "The key file")->required();
  key->add_option("--person", options.person, "Who will hold it")->required();
  key->add_flag("--throwaway", options.throwaway, "Leaves it open: for demonstrations and tests only");
  key->add_option("--scrypt-log2", options.scrypt_log2, "Cost of a guess: 2^N KiB")
      ->check(CLI::Range(trust::kMinScryptLog2, trust::kMaxScryptLog2))
      ->capture_default_str();
  AddPassphrase(key, &options);
  CLI::App* show_key = command("show-key", "The public half of key files", &KeysCommand::ShowKeys, false);
  show_key->add_option("FILES", options.key_files)->required();
  show_key->add_flag("--pem", options.pem, "As PEM, alone");

  CLI::App* root = command("new-root", "Drafts the next root", &KeysCommand::NewRoot);
  AddRoleKeys(root, &options);
  AddExpiry(root, &options);
  CLI::App* targets =
      command("new-targets", "Drafts the next targets: delegations, trust.json", &KeysCommand::NewTargets);
  targets->add_option("--trust", options.trust, "The trust.json that they list from now on");
  AddRoleKeys(targets, &options);
  AddExpiry(targets, &options);
  CLI::App* trust =
      command("new-trust", "Writes a trust.json: the keys of everything else", &KeysCommand::NewTrust);
  trust->add_option("--out", options.output)->required();
  trust->add_option("--matrix", options.matrices, "CHANNEL=FILE=TEST,TEST: what has to be tested")
      ->allow_extra_args(false);
  trust->add_option("--agent-ca", options.agent_ca, "File of PEM")->allow_extra_args(false);
  trust->add_option("--revoke", options.revoked_keyids, "Id of a key that counts no more")
      ->allow_extra_args(false);
  AddRoleKeys(trust, &options);

  CLI::App* sign = command("sign", "Adds signatures to a draft", &KeysCommand::SignDraft);
  sign->add_option("--role", options.role)->required();
  sign->add_option("--key", options.key_files, "A key file; repeated")->allow_extra_args(false)->required();
  AddPassphrase(sign, &options);
  CLI::App* publish = command("publish", "Puts the drafts in place, under a new snapshot and timestamp",
                              &KeysCommand::Publish);
  CLI::App* refresh =
      command("refresh", "New snapshot and timestamp over what is published", &KeysCommand::Refresh);
  for (CLI::App* online : {publish, refresh}) {
    online->add_option("--key", options.role_keys, "snapshot=FILE and timestamp=FILE")
        ->allow_extra_args(false)
        ->required();
    AddPassphrase(online, &options);
    AddExpiry(online, &options);
  }
  AddRelease(command("sign-release", "Drafts the listing of a release, if all that is said of it holds",
                     &KeysCommand::SignRelease),
             &options);
  CLI::App* revoke = command("revoke-release", "Drafts the recall of a release", &KeysCommand::RevokeRelease);
  revoke->add_option("--path", options.path, "As `show` names it")->required();

  command("show", "Versions, expiries, signatures, releases", &KeysCommand::Show);
  CLI::App* verify = command("verify", "Goes through everything as a client does", &KeysCommand::Verify);
  verify->add_option("--root", options.root, "The root to begin with, in place of version 1");
  CLI::App* demo = command("demo", "A repository with throwaway keys: protects nothing", &KeysCommand::Demo);
  demo->add_option("--out", options.output, "Folder for the keys; must exist")->required();
  demo->add_option("--matrix", options.matrices, "CHANNEL=FILE=TEST,TEST")->allow_extra_args(false);
  AddExpiry(demo, &options);

  try {
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::ParseError& error) {
    return app.exit(error, out, err) == 0 ? kKeysDone : kKeysUsage;
  }
  KeysCommand keys(options, clock, ask, out);
  for (const auto& [sub, action] : actions) {
    if (!sub->parsed()) continue;
    const absl::Status done = (keys.*action)();
    if (done.ok()) return kKeysDone;
    err << "ringfence-keys " << sub->get_name() << ": " << done.message() << "\n";
    return kKeysRefused;
  }
  return kKeysUsage;
}

}  // namespace ringfence::tuf
