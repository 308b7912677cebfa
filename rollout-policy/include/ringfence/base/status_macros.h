// The status macros that Debian's absl does not have yet, in the upstream shape.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define RF_CONCAT_INNER_(a, b) a##b
#define RF_CONCAT_(a, b) RF_CONCAT_INNER_(a, b)

// Returns the status of `expr` from the enclosing function unless it is ok.
#define RETURN_IF_ERROR(expr)                                 \
  do {                                                        \
    if (::absl::Status rf_status = (expr); !rf_status.ok()) { \
      return rf_status;                                       \
    }                                                         \
  } while (false)

// Declares or assigns `lhs` from the value of the StatusOr `expr`, or returns its status.
#define ASSIGN_OR_RETURN(lhs, expr) ASSIGN_OR_RETURN_IMPL_(RF_CONCAT_(rf_status_or_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                           \
  if (!tmp.ok()) {                             \
    return tmp.status();                       \
  }                                            \
  lhs = std::move(tmp).value()
