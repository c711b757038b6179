#include "mobileone/plan/threading.hpp"

#include <pthread.h>
#include <unistd.h>

#include <cstdint>
#include <exception>
#include <thread>

namespace mobileone {

namespace {

// Set in a forked child, once and for all. Threads made after the fork are safe, but nothing says
// which thread a later call comes from, so all take the detour.
bool forked = false;

void mark_forked() { forked = true; }

[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, mark_forked);

// The lowest address of the calling thread's stack; 0 for the main thread, whose stack grows.
std::uintptr_t lowest_stack_address() {
  if (getpid() == gettid()) return 0;
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 0;
  void* lowest = nullptr;
  std::size_t bytes = 0;
  pthread_attr_getstack(&attributes, &lowest, &bytes);
  pthread_attr_destroy(&attributes);
  return reinterpret_cast<std::uintptr_t>(lowest);
}

bool stack_is_small() {
  thread_local const std::uintptr_t lowest = lowest_stack_address();
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  return lowest != 0 && here - lowest < kStackBytes;
}

}  // namespace

bool needs_fresh_team(int threads) { return (forked && threads > 1) || stack_is_small(); }

void run_on_fresh_team(const std::function<void()>& work) {
  std::exception_ptr error;
  std::thread worker([&] {
    try {
      work();
    } catch (...) {
      error = std::current_exception();
    }
  });
  worker.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace mobileone
