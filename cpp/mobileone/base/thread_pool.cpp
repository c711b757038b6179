#include "mobileone/base/thread_pool.hpp"

#include <immintrin.h>
#include <pthread.h>
#include <sched.h>

#include <bit>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace mobileone {

int available_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  const unsigned count = std::thread::hardware_concurrency();
  return count == 0 ? 1 : static_cast<int>(count);
}

ScopedFlushDenormals::ScopedFlushDenormals() : saved_(_mm_getcsr()) {
  constexpr unsigned kFlushToZero = 1u << 15, kDenormalsAreZero = 1u << 6;
  _mm_setcsr(saved_ | kFlushToZero | kDenormalsAreZero);
}
ScopedFlushDenormals::~ScopedFlushDenormals() { _mm_setcsr(saved_); }

namespace {

// Counts the forks that led to this process: workers started before the last one do not exist here.
std::atomic<unsigned> fork_generation{0};

void watch_forks() {
  [[maybe_unused]] static const int registered =
      pthread_atfork(nullptr, nullptr, [] { fork_generation.fetch_add(1); });
}

// Spins until value differs from `old`, for at most kSpinMicroseconds; then sleeps.
template <typename T>
void await_change(std::atomic<T>& value, T old) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::microseconds(ThreadPool::kSpinMicroseconds);
  do {
    for (int i = 0; i < 32; ++i) {
      if (value.load(std::memory_order_acquire) != old) return;
      _mm_pause();
    }
  } while (Clock::now() < deadline);
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

namespace {

// The units that one thread has left, tagged with the run they belong to: a worker that wakes up
// late finds another run's tag, or nothing left, and takes nothing.
struct Share {
  std::uint32_t run;
  std::uint16_t next, end;
};
static_assert(sizeof(Share) == 8);

struct alignas(64) ShareCell {
  std::atomic<std::uint64_t> bits{0};

  void set(Share share) { bits.store(std::bit_cast<std::uint64_t>(share)); }
  /// The next unit of run `run`, or -1.
  int take(std::uint32_t run) {
    std::uint64_t seen = bits.load(std::memory_order_acquire);
    for (;;) {
      Share share = std::bit_cast<Share>(seen);
      if (share.run != run || share.next == share.end) return -1;
      const int unit = share.next++;
      if (bits.compare_exchange_weak(seen, std::bit_cast<std::uint64_t>(share),
                                     std::memory_order_acq_rel)) {
        return unit;
      }
    }
  }
};

}  // namespace

class ThreadPool::Workers {
 public:
  explicit Workers(int threads) : shares_(static_cast<std::size_t>(threads)) {
    threads_.reserve(static_cast<std::size_t>(threads - 1));
    try {
      for (int i = 1; i < threads; ++i) {
        threads_.emplace_back([this, i] { work(i); });
      }
    } catch (const std::system_error& error) {
      const std::size_t started = threads_.size() + 1;
      stop();
      throw std::runtime_error("[threads] only " + std::to_string(started) + " of " +
                               std::to_string(threads) +
                               " threads could be started: " + error.what());
    }
  }

  ~Workers() { stop(); }

  void run(int units, Task task, void* context) {
    const int threads = static_cast<int>(shares_.size());
    const std::uint32_t run = run_.load(std::memory_order_relaxed) + 1;
    task_ = task;
    context_ = context;
    pending_.store(units, std::memory_order_relaxed);
    for (int i = 0; i < threads; ++i) {
      const auto bound = [&](int j) {
        return static_cast<std::uint16_t>(long{units} * j / threads);
      };
      shares_[i].set({run, bound(i), bound(i + 1)});
    }
    wake(run);
    take_units(run, 0);
    for (int left; (left = pending_.load(std::memory_order_acquire)) != 0;) {
      await_change(pending_, left);
    }
  }

 private:
  void stop() {
    stop_.store(true);
    wake(run_.load() + 1);
    for (std::thread& thread : threads_) thread.join();
  }

  void wake(std::uint32_t run) {
    run_.store(run, std::memory_order_release);
    run_.notify_all();
  }

  void work(int thread) {
    const ScopedFlushDenormals flush;
    for (std::uint32_t seen = 0;;) {
      await_change(run_, seen);
      seen = run_.load(std::memory_order_acquire);
      if (stop_.load()) return;
      take_units(seen, thread);
    }
  }

  // The thread's own share first, then the others'. task_ and context_ are only read with a unit in
  // hand: until that is done the run cannot end, nor the next one write them.
  void take_units(std::uint32_t run, int thread) {
    const int threads = static_cast<int>(shares_.size());
    for (int i = 0; i < threads; ++i) {
      ShareCell& share = shares_[(thread + i) % threads];
      for (int unit; (unit = share.take(run)) >= 0;) {
        task_(context_, thread, unit);
        if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
      }
    }
  }

  Task task_ = nullptr;
  void* context_ = nullptr;
  std::atomic<bool> stop_{false};
  std::vector<ShareCell> shares_;
  alignas(64) std::atomic<std::uint32_t> run_{0};
  alignas(64) std::atomic<int> pending_{0};
  std::vector<std::thread> threads_;
};

ThreadPool::ThreadPool(int threads) : threads_(threads) {
  if (threads < 1) {
    throw std::invalid_argument("[threads] " + std::to_string(threads) +
                                " threads; expected at least 1");
  }
  watch_forks();
  fork_generation_ = fork_generation.load();
  if (threads > 1) workers_ = std::make_unique<Workers>(threads);
}

ThreadPool::~ThreadPool() {
  // In a forked child the threads are gone; joining them would wait for ever.
  if (fork_generation_ != fork_generation.load()) static_cast<void>(workers_.release());
}

bool ThreadPool::run(int units, Task task, void* context) {
  if (units > kMaxUnits) {
    throw std::invalid_argument("[threads] " + std::to_string(units) + " units; expected at most " +
                                std::to_string(kMaxUnits));
  }
  if (busy_.test_and_set(std::memory_order_acquire)) return false;
  // Given back on every way out: starting workers after a fork can throw.
  const struct Release {
    std::atomic_flag& busy;
    ~Release() { busy.clear(std::memory_order_release); }
  } release{busy_};
  if (threads_ == 1 || units == 1) {
    for (int unit = 0; unit < units; ++unit) task(context, 0, unit);
  } else {
    if (fork_generation_ != fork_generation.load(std::memory_order_relaxed)) {
      static_cast<void>(workers_.release());
      workers_ = std::make_unique<Workers>(threads_);
      fork_generation_ = fork_generation.load();
    }
    workers_->run(units, task, context);
  }
  return true;
}

}  // namespace mobileone
