#include "files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace ringfence::content {

absl::StatusOr<std::string> ReadWhole(const std::string& path, size_t most) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) {
    const int error = errno;
    const std::string text = absl::StrCat(path, ": ", error == 0 ? "cannot be opened" : std::strerror(error));
    return error == ENOENT ? absl::NotFoundError(text) : absl::UnknownError(text);
  }
  std::string bytes;
  char buffer[1 << 16];
  while (file.read(buffer, sizeof buffer), file.gcount() > 0) {
    bytes.append(buffer, static_cast<size_t>(file.gcount()));
    if (bytes.size() > most)
      return absl::ResourceExhaustedError(absl::StrCat(path, ": more than ", most, " bytes"));
  }
  if (!file.eof()) return absl::UnknownError(absl::StrCat(path, ": cannot be read (a folder?)"));
  return bytes;
}

absl::Status WriteWhole(const std::string& path, absl::string_view bytes) {
  const std::string draft = path + ".draft";
  std::ofstream file(draft, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file.good() || std::rename(draft.c_str(), path.c_str()) != 0) {
    const std::string text = absl::StrCat(path, ": cannot be written: ", std::strerror(errno));
    std::remove(draft.c_str());
    return absl::UnknownError(text);
  }
  return absl::OkStatus();
}

}  // namespace ringfence::content
