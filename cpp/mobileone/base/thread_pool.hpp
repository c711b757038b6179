// A small fork-join pool: shares of the work that others may take over, bounded spinning, no
// OpenMP.
#pragma once

#include <atomic>
#include <memory>
#include <type_traits>

namespace mobileone {

/// CPUs that the calling thread may run on (its affinity mask), at least 1.
int available_cpus();

/// Treats denormal inputs and results as zero (MXCSR DAZ and FTZ) until the end of the scope.
class ScopedFlushDenormals {
 public:
  ScopedFlushDenormals();
  ~ScopedFlushDenormals();
  ScopedFlushDenormals(const ScopedFlushDenormals&) = delete;
  ScopedFlushDenormals& operator=(const ScopedFlushDenormals&) = delete;

 private:
  unsigned saved_;
};

/// `threads` - 1 workers and the calling thread share the units of a run. Each thread has a
/// contiguous range of them (so that it finds in its cache what it wrote in the run before) and
/// takes units of others when its own are gone. A run ends when all units are done, whether or not
/// every worker has woken up: a core that is busy with something else costs its share of the speed
/// and no more.
///
/// A worker without work spins for kSpinMicroseconds, or up to kMostSpinMicroseconds where its
/// pauses have been about as long, then sleeps until the next run. Workers run on the CPUs of the
/// caller's affinity mask, also after it has changed. One that has not come for kLateMicroseconds,
/// because the system queued it on the CPU that the caller keeps busy, is moved to the others
/// (placement.hpp); where something else computes there, too, it asks for shorter slices, and wakes
/// up sooner from then on. The caller that has no units left spins while the others compute, for
/// kWaitMicroseconds at most, and looks every kLookMicroseconds whether they do: one that lost its
/// CPU in the middle of a unit gets the caller's.
/// Workers flush denormals, as the caller is expected to. After a fork the child's pool starts
/// workers of its own on its first run.
class ThreadPool {
 public:
  static constexpr int kSpinMicroseconds = 50, kMostSpinMicroseconds = 200;
  static constexpr int kLateMicroseconds = 100;
  static constexpr int kLookMicroseconds = 25, kWaitMicroseconds = 1000;
  static constexpr int kMaxUnits = 65535;

  /// Throws std::invalid_argument when threads < 1, and std::runtime_error when the system does not
  /// start that many; none is left running then.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  using Task = void (*)(void* context, int thread, int unit);

  /// Calls task(context, thread, unit) once for every unit in [0, units); `thread` in [0,
  /// threads()) is never in use by two calls at once (0 is the caller): scratch goes by it. Tasks
  /// must not throw. A second thread that calls run while one is in progress does not wait for the
  /// workers: it gets false at once, and nothing has run. Throws std::invalid_argument when units >
  /// kMaxUnits, and std::runtime_error when a forked child cannot start its workers.
  [[nodiscard]] bool run(int units, Task task, void* context);

  /// The same for a callable: work(thread, unit).
  template <typename Work>
  [[nodiscard]] bool run(int units, Work&& work) {
    using Callable = std::remove_reference_t<Work>;
    return run(
        units,
        [](void* context, int thread, int unit) {
          (*static_cast<Callable*>(context))(thread, unit);
        },
        const_cast<void*>(static_cast<const void*>(&work)));
  }

 private:
  class Workers;

  const int threads_;
  std::atomic_flag busy_;
  unsigned fork_generation_ = 0;
  std::unique_ptr<Workers> workers_;
};

}  // namespace mobileone
