#include "mobileone/plan/threading.hpp"

#include <pthread.h>

#include <exception>
#include <thread>

namespace mobileone {

namespace {

// Set in a forked child, once and for all. Threads made after the fork are safe, but nothing says
// which thread a later call comes from, so all take the detour.
bool forked = false;

void mark_forked() { forked = true; }

[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, mark_forked);

}  // namespace

bool needs_fresh_team(int threads) { return forked && threads > 1; }

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
