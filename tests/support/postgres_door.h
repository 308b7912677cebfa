// A socket of PostgreSQL's name in a folder of its own, at which a test stands between servers and the real
// one.
#pragma once

#include <cstddef>
#include <string>

namespace ringfence::testing_support {

class PostgresDoor {
 public:
  // `url` is the database's, and names `socket_folder`, where its socket is.
  PostgresDoor(const std::string& url, const std::string& socket_folder);
  ~PostgresDoor();
  PostgresDoor(const PostgresDoor&) = delete;
  PostgresDoor& operator=(const PostgresDoor&) = delete;

  const std::string& url() const { return url_; }  // by this door
  int listener() const { return listener_; }
  // Whoever knocks; and a way to the database. -1: nobody, none.
  int Accept() const;
  int Connect() const;

 private:
  std::string folder_, target_, url_;
  int listener_ = -1;
};

// False: the other side is gone.
bool SendAll(int to, const char* bytes, size_t size);

}  // namespace ringfence::testing_support
