// The thread pool.
#include <gtest/gtest.h>
#include <immintrin.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cfloat>
#include <chrono>
#include <ctime>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include "mobileone/base/thread_pool.hpp"

namespace mobileone::kernels::testing {
namespace {

TEST(ThreadPool, RunsEveryUnitOnce) {
  for (int threads : {1, 2, 3, 4}) {
    ThreadPool pool(threads);
    for (int units : {0, 1, 2, 3, 7, 100}) {
      for (int round = 0; round < 200; ++round) {
        std::vector<int> counts(units, 0);
        std::vector<std::atomic<int>> in_use(threads);
        ASSERT_TRUE(pool.run(units, [&](int thread, int unit) {
          EXPECT_EQ(in_use[thread].fetch_add(1), 0);
          ++counts[unit];
          in_use[thread].fetch_sub(1);
        }));
        ASSERT_EQ(counts, std::vector<int>(units, 1));
      }
    }
  }
}

TEST(ThreadPool, RejectsBadArguments) {
  EXPECT_THROW(ThreadPool(0), std::invalid_argument);
  ThreadPool pool(2);
  EXPECT_THROW(static_cast<void>(pool.run(ThreadPool::kMaxUnits + 1, [](int, int) {})),
               std::invalid_argument);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they reserve terabytes
// Room for a few stacks of the default size, not for 63.
TEST(ThreadPool, JoinsThoseThatRunWhenOthersCannotBeStarted) {
  const pid_t child = fork();
  if (child == 0) {
    rlimit limit{};
    std::ifstream statm("/proc/self/statm");
    rlim_t pages = 0;
    statm >> pages;
    limit.rlim_cur = limit.rlim_max =
        pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (rlim_t{100} << 20);
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
    try {
      ThreadPool pool(64);
    } catch (const std::runtime_error& error) {
      const std::string_view what = error.what();
      _exit(what.find("of 64 threads could be started") != what.npos ? 0 : 3);
    }
    _exit(4);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}
#endif

int sum_of_units(ThreadPool& pool, int units) {
  std::atomic<int> sum{0};
  EXPECT_TRUE(pool.run(units, [&](int, int unit) { sum += unit; }));
  return sum;
}

TEST(ThreadPool, WakesWorkersThatSleep) {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::microseconds(20 * ThreadPool::kSpinMicroseconds));
    EXPECT_EQ(sum_of_units(pool, 10), 45);
  }
}

TEST(ThreadPool, WorkersTakePart) {
  ThreadPool pool(2);
  std::atomic<bool> other{false};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  ASSERT_TRUE(pool.run(2, [&](int thread, int) {
    if (thread == 1) other = true;
    while (!other && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  }));
  EXPECT_TRUE(other);
}

// Units of a worker that is not running are done by the others.
TEST(ThreadPool, AStuckWorkerHoldsBackOneUnitAtMost) {
  ThreadPool pool(2);
  std::atomic<int> by_caller{0}, done{0};
  ASSERT_TRUE(pool.run(20, [&](int thread, int) {
    if (thread == 1) {
      while (done < 19) std::this_thread::yield();
    } else {
      ++by_caller;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ++done;
  }));
  EXPECT_GE(by_caller, 19);
}

TEST(ThreadPool, IdleWorkersUseNoCpu) {
  ThreadPool pool(4);
  EXPECT_EQ(sum_of_units(pool, 8), 28);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // spinning has long ended
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const double busy = double(std::clock() - before) / CLOCKS_PER_SEC;
  EXPECT_LT(busy, 0.02);  // three spinning workers would have used up to 0.6 s
}

// Sets the calling thread's affinity mask for a while.
class ScopedMask {
 public:
  explicit ScopedMask(const cpu_set_t& mask) {
    sched_getaffinity(0, sizeof before_, &before_);
    sched_setaffinity(0, sizeof mask, &mask);
  }
  ~ScopedMask() { sched_setaffinity(0, sizeof before_, &before_); }
  const cpu_set_t& before() const { return before_; }

 private:
  cpu_set_t before_;
};

cpu_set_t only(int cpu) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CPU_SET(cpu, &mask);
  return mask;
}

void work_for(std::chrono::microseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) _mm_pause();
}

// The system's id of the worker of a pool of two.
pid_t find_worker(ThreadPool& pool) {
  std::atomic<pid_t> id{0};
  while (id == 0) {
    EXPECT_TRUE(pool.run(2, [&](int thread, int) {
      if (thread == 1) id = gettid();
      work_for(std::chrono::microseconds(200));
    }));
  }
  return id;
}

void sleep_until_workers_do() {
  std::this_thread::sleep_for(std::chrono::microseconds(20 * ThreadPool::kMostSpinMicroseconds));
}

TEST(ThreadPool, WorkersFollowTheCallersMask) {
  ThreadPool pool(2);
  const pid_t worker = find_worker(pool);
  const auto mask_after_a_run = [&] {
    sleep_until_workers_do();
    EXPECT_EQ(sum_of_units(pool, 10), 45);
    cpu_set_t mask;
    EXPECT_EQ(sched_getaffinity(worker, sizeof mask, &mask), 0);
    return mask;
  };
  const ScopedMask outer(only(sched_getcpu()));
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &outer.before())) continue;
    const cpu_set_t confined = only(cpu);
    const ScopedMask inner(confined);
    const cpu_set_t mask = mask_after_a_run();
    EXPECT_TRUE(CPU_EQUAL(&mask, &confined)) << cpu;
  }
  const ScopedMask all(outer.before());
  cpu_set_t mask = mask_after_a_run();
  CPU_OR(&mask, &mask, &outer.before());
  EXPECT_TRUE(CPU_EQUAL(&mask, &outer.before()));  // none that the caller lacks
}

// A worker that waits on the CPU that the caller keeps busy is moved, within the caller's mask.
TEST(ThreadPool, ALateWorkerLeavesTheCallersCpu) {
  if (available_cpus() < 2) GTEST_SKIP() << "one CPU";
  ThreadPool pool(2);
  const pid_t worker = find_worker(pool);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  bool moved = false;
  while (!moved && std::chrono::steady_clock::now() < deadline) {
    sleep_until_workers_do();
    const cpu_set_t here = only(sched_getcpu());
    ASSERT_EQ(sched_setaffinity(worker, sizeof here, &here), 0);
    for (int run = 0; run < 4; ++run) {
      ASSERT_TRUE(pool.run(8, [](int, int) { work_for(std::chrono::microseconds(50)); }));
    }
    cpu_set_t mask;
    ASSERT_EQ(sched_getaffinity(worker, sizeof mask, &mask), 0);
    moved = !CPU_EQUAL(&mask, &here);
  }
  EXPECT_TRUE(moved);
}

// Two of the CPUs that the calling thread may run on, the one it is on first.
std::array<int, 2> two_cpus() {
  cpu_set_t mask;
  EXPECT_EQ(sched_getaffinity(0, sizeof mask, &mask), 0);
  const int here = sched_getcpu();
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (cpu != here && CPU_ISSET(cpu, &mask)) return {here, cpu};
  }
  return {here, here};
}

// A worker that something else keeps off its CPU, with a unit in hand, gets the waiting caller's.
TEST(ThreadPool, AWorkerThatLostItsCpuGetsTheCallers) {
  if (available_cpus() < 2) GTEST_SKIP() << "one CPU";
  const auto [here, there] = two_cpus();
  cpu_set_t both = only(here);
  CPU_SET(there, &both);
  const ScopedMask scope(both);
  ThreadPool pool(2);
  const pid_t worker = find_worker(pool);
  std::atomic<bool> stop{false};
  std::thread neighbour([&] {
    const ScopedMask confined(only(there));
    while (!stop) _mm_pause();
  });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  std::atomic<bool> came{false};
  while (!came && std::chrono::steady_clock::now() < deadline) {
    sleep_until_workers_do();
    const cpu_set_t away = only(there);
    ASSERT_EQ(sched_setaffinity(worker, sizeof away, &away), 0);
    std::atomic<bool> started{false};
    const int caller_cpu = sched_getcpu();
    ASSERT_TRUE(pool.run(2, [&](int thread, int) {
      const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
      if (thread == 1) started = true;
      while (!came && std::chrono::steady_clock::now() < end) {
        if (thread == 0 && started) break;
        if (thread == 1 && caller_cpu == here && sched_getcpu() == here) came = true;
      }
    }));
  }
  stop = true;
  neighbour.join();
  EXPECT_TRUE(came);
  EXPECT_EQ(sum_of_units(pool, 10), 45);
}

TEST(ThreadPool, ASecondCallerIsTurnedAway) {
  ThreadPool pool(2);
  ASSERT_TRUE(pool.run(4, [&](int, int) { EXPECT_FALSE(pool.run(1, [](int, int) {})); }));
  std::atomic<int> runs{0}, units{0};
  const auto hammer = [&] {
    for (int i = 0; i < 2000; ++i) runs += pool.run(3, [&](int, int) { ++units; });
  };
  std::thread other(hammer);
  hammer();
  other.join();
  EXPECT_GT(runs, 0);
  EXPECT_EQ(units, 3 * runs);
}

TEST(ThreadPool, WorksInAForkedChild) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer does not support threads in a forked child";
#endif
  ThreadPool pool(3);
  EXPECT_EQ(sum_of_units(pool, 10), 45);
  const pid_t child = fork();
  if (child == 0) {
    const int sum = sum_of_units(pool, 10);
    _exit(sum == 45 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(sum_of_units(pool, 10), 45);
}

TEST(ThreadPool, DenormalsAreFlushedInScopeAndRestoredAfter) {
  volatile float tiny = FLT_MIN;
  const unsigned before = _mm_getcsr();
  {
    const ScopedFlushDenormals flush;
    EXPECT_EQ(tiny / 2.0f, 0.0f);
  }
  EXPECT_EQ(_mm_getcsr(), before);
  EXPECT_NE(tiny / 2.0f, 0.0f);
  ThreadPool pool(2);
  std::atomic<bool> worker_ran{false};
  float half = -1.0f;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  ASSERT_TRUE(pool.run(2, [&](int thread, int) {
    if (thread == 1 && !worker_ran) {
      half = tiny / 2.0f;
      worker_ran = true;
    }
    while (!worker_ran && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  }));
  EXPECT_EQ(half, 0.0f);
}

}  // namespace
}  // namespace mobileone::kernels::testing
