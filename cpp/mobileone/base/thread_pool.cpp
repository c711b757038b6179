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

#include "mobileone/base/placement.hpp"
#include "mobileone/base/waiting.hpp"

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

using std::chrono::microseconds;

// The units that one thread has left, tagged with the run they belong to: a worker that wakes up
// late finds another run's tag, or nothing left, and takes nothing.
struct Share {
  std::uint32_t run;
  std::uint16_t next, end;
};
static_assert(sizeof(Share) == 8);

struct alignas(64) ShareCell {
  std::atomic<std::uint64_t> bits{0};
  // Here, where its owner and the caller are anyway: the last run that the thread came to; whether
  // it has a unit in hand; and what the caller asks it for.
  std::atomic<std::uint32_t> seen{0};
  std::atomic<bool> working{false};
  std::atomic<bool> hurry{false};    // shorter slices
  std::atomic<bool> brought{false};  // it is on the caller's CPU, which it should leave soon

  void set(Share share) { bits.store(std::bit_cast<std::uint64_t>(share)); }
  /// The next unit of run `run`, or -1.
  int take(std::uint32_t run) {
    std::uint64_t held = bits.load(std::memory_order_acquire);
    for (;;) {
      Share share = std::bit_cast<Share>(held);
      if (share.run != run || share.next == share.end) return -1;
      const int unit = share.next++;
      if (bits.compare_exchange_weak(held, std::bit_cast<std::uint64_t>(share),
                                     std::memory_order_acq_rel)) {
        return unit;
      }
    }
  }
};

}  // namespace

class ThreadPool::Workers {
 public:
  explicit Workers(int threads)
      : shares_(static_cast<std::size_t>(threads)), absent_(static_cast<std::size_t>(threads)) {
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
    std::vector<pthread_t> handles;
    for (std::thread& thread : threads_) handles.push_back(thread.native_handle());
    placement_ = std::make_unique<Placement>(std::move(handles));
  }

  ~Workers() { stop(); }

  void run(int units, Task task, void* context) {
    const int threads = static_cast<int>(shares_.size());
    const std::uint32_t run = run_.load(std::memory_order_relaxed) + 1;
    if (sleeping_.load(std::memory_order_relaxed) > 0) placement_->follow_caller();
    look_for_one(run);
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
    if (pending_.load(std::memory_order_acquire) != 0) await_workers();
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
    ShareCell& own = shares_[thread];
    Spin spin{microseconds(kSpinMicroseconds), microseconds(kMostSpinMicroseconds)};
    for (std::uint32_t seen = 0;;) {
      const auto start = Clock::now();
      await_change(run_, seen, own.brought.exchange(false) ? Clock::duration{} : spin.limit(),
                   sleeping_);
      spin.paused(Clock::now() - start);
      seen = run_.load(std::memory_order_acquire);
      if (stop_.load()) return;
      own.seen.store(seen, std::memory_order_relaxed);
      take_units(seen, thread);
      if (own.hurry.exchange(false)) shorten_slice();
    }
  }

  // All units are taken. Spins while those who have them compute; where one of them waits for a
  // CPU, because something else has it, it gets the caller's, which has nothing to do.
  void await_workers() {
    const auto done = [&] { return pending_.load(std::memory_order_acquire) == 0; };
    constexpr microseconds kLook(kLookMicroseconds);
    if (spin_until(done, kLook)) return;
    bool brought = false;
    for (Clock::duration waited = kLook; !brought && waited < microseconds(kWaitMicroseconds);
         waited += kLook) {
      note_cpu_times();
      if (spin_until(done, kLook)) return;
      brought = bring_those_that_stand_still();
    }
    if (!brought) placement_->release();
    for (int left; (left = pending_.load(std::memory_order_acquire)) != 0;) pending_.wait(left);
    placement_->send_back();
  }

  void note_cpu_times() {
    for (std::size_t i = 1; i < shares_.size(); ++i) {
      if (shares_[i].working) absent_[i].cpu_time = placement_->cpu_time(static_cast<int>(i) - 1);
    }
  }

  bool bring_those_that_stand_still() {
    bool any = false;
    for (std::size_t i = 1; i < shares_.size(); ++i) {
      if (!shares_[i].working) continue;
      const int worker = static_cast<int>(i) - 1;
      const auto used = placement_->cpu_time(worker) - absent_[i].cpu_time;
      if (used > microseconds(kLookMicroseconds) / 4) continue;
      shares_[i].brought.store(true);
      placement_->bring_to_caller(worker);
      any = true;
    }
    return any;
  }

  // Before run `run`: whether a worker, another one every time, has come to the run before. One
  // that has not for kLateMicroseconds is moved off the caller's CPU; between units too (missing_).
  void look_for_one(std::uint32_t run) {
    missing_ = 1 + static_cast<int>(run % threads_.size());
    Absence& absence = absent_[missing_];
    if (shares_[missing_].seen.load(std::memory_order_relaxed) == run - 1) {
      absence = {};
      missing_ = 0;
    } else if (absence.moved) {
      missing_ = 0;  // once is enough
    } else if (absence.since == Clock::time_point{}) {
      absence.since = Clock::now();
    } else {
      move_if_late(run);
    }
  }

  void move_if_late(std::uint32_t run) {
    Absence& absence = absent_[missing_];
    if (shares_[missing_].seen.load(std::memory_order_relaxed) == run) {
      missing_ = 0;
    } else if (Clock::now() - absence.since > microseconds(kLateMicroseconds)) {
      if (placement_->move_off_caller(missing_ - 1)) shares_[missing_].hurry.store(true);
      absence.moved = true;
      missing_ = 0;
    }
  }

  // The thread's own share first, then the others'. task_ and context_ are only read with a unit in
  // hand: until that is done the run cannot end, nor the next one write them.
  void take_units(std::uint32_t run, int thread) {
    const int threads = static_cast<int>(shares_.size());
    for (int i = 0; i < threads; ++i) {
      ShareCell& share = shares_[(thread + i) % threads];
      for (int unit; (unit = share.take(run)) >= 0;) {
        shares_[thread].working.store(true, std::memory_order_relaxed);
        task_(context_, thread, unit);
        shares_[thread].working.store(false, std::memory_order_relaxed);
        if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
        if (thread == 0 && missing_ != 0) move_if_late(run);
      }
    }
  }

  Task task_ = nullptr;
  void* context_ = nullptr;
  std::atomic<bool> stop_{false};
  std::vector<ShareCell> shares_;
  alignas(64) std::atomic<std::uint32_t> run_{0};
  alignas(64) std::atomic<int> pending_{0};
  alignas(64) std::atomic<int> sleeping_{0};  // workers

  // The caller's own: since when a worker has not come, and which one it looks for in this run.
  struct Absence {
    Clock::time_point since;
    bool moved = false;
    std::chrono::nanoseconds cpu_time{};
  };
  std::vector<Absence> absent_;
  int missing_ = 0;
  std::unique_ptr<Placement> placement_;
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
