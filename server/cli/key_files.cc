#include "server/cli/key_files.h"

#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <istream>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/sealed_key.h"
#include "server/cli/human.h"

namespace ringfence::cli {
namespace {

constexpr size_t kMaxKeyBytes = 4096;

// Nothing of it is shown.
absl::StatusOr<std::string> AskPassphrase(const World& world, const std::string& file) {
  termios before;
  if (!world.in_is_tty || ::tcgetattr(STDIN_FILENO, &before) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": nobody to ask for the passphrase: use --passphrase-file"));
  }
  termios silent = before;
  silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  *world.err << "passphrase of " << file << ": " << std::flush;
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  std::string passphrase;
  std::getline(*world.in, passphrase);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
  *world.err << "\n";
  return passphrase;
}

}  // namespace

absl::StatusOr<trust::SigningKey> ReadSigningKey(const World& world, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string pem, ReadFile(world, path, kMaxKeyBytes));
  absl::StatusOr<trust::SigningKey> key = trust::SigningKey::FromPem(pem);
  if (!key.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", key.status().message()));
  return key;
}

absl::StatusOr<trust::SigningKey> ReadPersonsKey(const World& world, const std::string& path,
                                                 const std::string& passphrase_file) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(world, path, trust::kMaxKeyFileBytes));
  if (bytes.empty() || bytes.front() != '{') return ReadSigningKey(world, path);
  const auto named = [&](const absl::Status& status) {
    return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
  };
  const absl::StatusOr<trust::KeyFile> about = trust::ReadKeyFile(bytes);
  if (!about.ok()) return named(about.status());
  std::string passphrase;
  if (about->throwaway) {
    // It lies open.
  } else if (!passphrase_file.empty()) {
    ASSIGN_OR_RETURN(passphrase, ReadFile(world, passphrase_file, kMaxKeyBytes));
    passphrase = passphrase.substr(0, passphrase.find('\n'));
  } else {
    ASSIGN_OR_RETURN(passphrase, AskPassphrase(world, path));
  }
  absl::StatusOr<trust::SigningKey> key = trust::OpenKey(bytes, passphrase);
  if (!key.ok()) return named(key.status());
  return key;
}

absl::StatusOr<NamedKey> ReadPublicKey(const World& world, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(world, path, trust::kMaxKeyFileBytes));
  const auto named = [&](const absl::Status& status) {
    return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
  };
  if (!bytes.empty() && bytes.front() == '{') {
    const absl::StatusOr<trust::KeyFile> about = trust::ReadKeyFile(bytes);
    if (!about.ok()) return named(about.status());
    return NamedKey{about->key, about->person};
  }
  const absl::StatusOr<trust::PublicKey> key = trust::PublicKey::FromPem(bytes);
  if (!key.ok()) return named(key.status());
  return NamedKey{*key, ""};
}

absl::Status WriteDocument(const World& world, const std::string& path, absl::string_view bytes) {
  if (path.empty()) {
    *world.out << bytes << "\n";
    return absl::OkStatus();
  }
  const std::string draft = path + ".draft";
  std::ofstream file(draft, std::ios::binary | std::ios::trunc);
  file << bytes << "\n";
  file.close();
  if (file.good() && std::rename(draft.c_str(), path.c_str()) == 0) return absl::OkStatus();
  std::remove(draft.c_str());
  return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be written"));
}

}  // namespace ringfence::cli
