// Tells the thread sanitizer what gRPC orders. Debian's gRPC and absl are not instrumented: the sanitizer
// sees neither their locks nor their atomics, so whatever is handed to gRPC on one thread and comes back on
// another looks like a race. The borders are few: the start of a batch comes before its completion, an unlock
// before the next lock. The functions here stand before those of the same name in the libraries, and say so.
//
// Part of every program of preset tsan, and of nothing else (cmake/RingfenceTargets.cmake).
#include <dlfcn.h>
#include <grpc/grpc.h>
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"

namespace {

// The library's own function of this name.
template <typename Function>
Function* Own(Function*, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

// In a test, client and server are one process: what a client did before its call comes before what the
// server does with it, and the other way round. Left out of the programs, which would be checked less for it.
char wire;

void Release(void* tag) {
  if (tag != nullptr) __tsan_release(tag);
  if (RINGFENCE_TSAN_WIRE) __tsan_release(&wire);
}

grpc_event Acquire(grpc_event event) {
  if (event.type == GRPC_OP_COMPLETE && event.tag != nullptr) __tsan_acquire(event.tag);
  if (RINGFENCE_TSAN_WIRE) __tsan_acquire(&wire);
  return event;
}

}  // namespace

extern "C" {

grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops, size_t count, void* tag,
                                      void* reserved) {
  static auto* const own = Own(&grpc_call_start_batch, "grpc_call_start_batch");
  Release(tag);
  return own(call, ops, count, tag, reserved);
}

grpc_event grpc_completion_queue_next(grpc_completion_queue* queue, gpr_timespec deadline, void* reserved) {
  static auto* const own = Own(&grpc_completion_queue_next, "grpc_completion_queue_next");
  return Acquire(own(queue, deadline, reserved));
}

grpc_event grpc_completion_queue_pluck(grpc_completion_queue* queue, void* tag, gpr_timespec deadline,
                                       void* reserved) {
  static auto* const own = Own(&grpc_completion_queue_pluck, "grpc_completion_queue_pluck");
  return Acquire(own(queue, tag, deadline, reserved));
}

}  // extern "C"

// gRPC's headers, which are compiled into our programs, lock these.
namespace absl {

void Mutex::Lock() {
  static auto* const own = Own(static_cast<void (*)(Mutex*)>(nullptr), "_ZN4absl7debian35Mutex4LockEv");
  own(this);
  __tsan_acquire(this);
}

void Mutex::Unlock() {
  static auto* const own = Own(static_cast<void (*)(Mutex*)>(nullptr), "_ZN4absl7debian35Mutex6UnlockEv");
  __tsan_release(this);
  own(this);
}

}  // namespace absl
