// Where the workers of a pool may run: on the CPUs of its caller, but for the one the caller is on.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <vector>

namespace mobileone {

/// The affinity masks of a pool's workers. They are the caller's, so that a process that is
/// confined to other CPUs takes its workers along; and a worker that did not come, because the
/// system queued it on the CPU that the caller keeps busy, is moved off that CPU: a mask without it
/// makes the kernel move a queued thread at once. Where the system refuses masks, nothing happens.
///
/// Used by one caller at a time.
class Placement {
 public:
  /// Of threads that have the calling thread's mask.
  explicit Placement(std::vector<pthread_t> workers);

  /// Takes over a mask of the caller that has changed, and keeps workers that were moved off its
  /// CPU off the one it is on now.
  void follow_caller();

  /// Lets a worker run on every CPU of the caller's mask but the caller's. Does nothing where there
  /// is none, or while workers rest where they are.
  void move_off_caller(int worker);

  /// A moved worker kept the caller waiting: something else computes where it went. Workers may run
  /// anywhere again, and the next kRests times that one does not come it is left alone.
  void rest();
  bool has_moved() const { return moved_ != 0; }

 private:
  static constexpr int kRests = 16;

  void apply(int worker);

  std::vector<pthread_t> workers_;
  std::vector<bool> off_caller_;  // by worker
  cpu_set_t mask_;
  int caller_cpu_ = -1;
  int moved_ = 0;  // workers off the caller's CPU
  int rests_ = 0;
  bool works_ = true;
};

}  // namespace mobileone
