#include "layers/ops/threads.h"

#include <omp.h>

#include <barrier>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "layers/ops/kernels.h"
#include "tests/unit/ops/harness.h"

// Rule 2: one shard is computed on one thread, by primitives that were made on one thread.
namespace lockstep::test {
namespace {

struct ThreadsTest : testing::Test {};

void on_fresh_thread(const std::function<void()>& work) {
  std::thread(work).join();
}

TEST_F(ThreadsTest, AThreadThatWasNotPreparedIsRefused) {
  on_fresh_thread([] { EXPECT_THROW(check_compute_thread(), std::logic_error); });
  on_fresh_thread([] { EXPECT_THROW(make_linear({4, 4, true}, {1, 1, true}), std::logic_error); });
  on_fresh_thread([] {
    prepare_compute_thread();
    EXPECT_NO_THROW(check_compute_thread());
  });
}

TEST_F(ThreadsTest, AThreadWhoseCountWasRaisedAgainIsRefused) {
  on_fresh_thread([] {
    prepare_compute_thread();
    omp_set_num_threads(2);
    EXPECT_THROW(check_compute_thread(), std::logic_error);
  });
}

TEST_F(ThreadsTest, AKernelDoesNotRunOnAThreadThatWasNotPrepared) {
  prepare_compute_thread();
  const auto kernel = make_linear({4, 4, false}, {1, 1, true});
  const Trial trial{{Values(4)}, {Values(16)}, Values(4), {}};
  const auto prepared = prepare(*kernel, trial);
  on_fresh_thread([&] { EXPECT_THROW(run(*kernel, trial), std::logic_error); });
}

constexpr int threads = 4;

struct NamedKernel {
  std::string name;
  std::function<std::unique_ptr<Kernel>(int)> make;  // of the number of threads
  Trial trial;
  Element element = Element::f32;
};

NamedKernel convolution(const std::string& name, const Convolution& c, std::int64_t samples,
                        Element element) {
  Trial trial;
  trial.inputs = {random_values(samples * c.in.elements(), "input")};
  trial.parameters = {
      random_values(c.out.channels * c.in.channels / c.groups * c.kernel_height * c.kernel_width, "weight")};
  if (c.bias) trial.parameters.push_back(random_values(c.out.channels, "bias"));
  trial.output_gradient = random_values(samples * c.out.elements(), "gradient");
  return {name,
          [=](int count) {
            return make_convolution(c, {.samples = samples, .threads = count, .element = element});
          },
          trial, element};
}

void add_kernels(Element element, std::vector<NamedKernel>& all) {
  all.push_back(convolution("3x3", {{16, 16, 16}, {16, 16, 16}, 3, 3, 1, 1, 1, false}, 4, element));
  all.push_back(convolution("stride 2", {{16, 16, 16}, {8, 8, 32}, 3, 3, 2, 1, 1, false}, 4, element));
  all.push_back(convolution("1x1", {{16, 16, 16}, {8, 8, 32}, 1, 1, 2, 0, 1, false}, 4, element));
  all.push_back(convolution("one channel", {{14, 14, 1}, {14, 14, 32}, 3, 3, 1, 1, 1, true}, 4, element));
  all.push_back(convolution("three channels", {{16, 16, 3}, {16, 16, 16}, 3, 3, 1, 1, 1, false}, 4, element));
  all.push_back(convolution("odd channels", {{8, 8, 5}, {8, 8, 11}, 3, 3, 1, 1, 1, true}, 4, element));
  all.push_back(convolution("groups", {{8, 8, 16}, {8, 8, 16}, 3, 3, 1, 1, 2, true}, 4, element));
  all.push_back(convolution("depthwise", {{8, 8, 16}, {8, 8, 16}, 3, 3, 1, 1, 16, true}, 4, element));
  Trial linear{{random_values(std::size_t{16} * 784, "input")},
               {random_values(std::size_t{784} * 128, "weight"), random_values(128, "bias")},
               random_values(std::size_t{16} * 128, "gradient"),
               {}};
  all.push_back(
      {"linear",
       [element](int count) {
         return make_linear({784, 128, true}, {.samples = 16, .threads = count, .element = element});
       },
       linear, element});
}

std::vector<NamedKernel> kernels() {
  std::vector<NamedKernel> all;
  for (const Element element : elements_here()) add_kernels(element, all);
  return all;
}

// The reference is made and run on a thread of its own, where OpenMP is told so here.
Outcome alone(const NamedKernel& named) {
  Outcome outcome;
  on_fresh_thread([&] {
    prepare_compute_thread();
    omp_set_num_threads(1);
    const auto kernel = named.make(1);
    const auto prepared = prepare(*kernel, named.trial);
    outcome = run(*kernel, named.element, named.trial);
  });
  return outcome;
}

// How often a kernel gives other bits than `expected` when four threads run it at once, each `repeats` times.
int differences(const Kernel& kernel, const NamedKernel& named, const Outcome& expected, int repeats) {
  std::array<int, threads> different{};
  std::barrier start(threads);
  std::vector<std::thread> crew;
  crew.reserve(threads);
  for (int thread = 0; thread < threads; ++thread) {
    crew.emplace_back([&, thread] {
      prepare_compute_thread();
      Trial own = named.trial;
      own.position.thread = thread;
      start.arrive_and_wait();
      for (int i = 0; i < repeats; ++i)
        different.at(thread) += same_bits(run(kernel, named.element, own), expected) ? 0 : 1;
    });
  }
  for (std::thread& member : crew) member.join();
  return std::accumulate(different.begin(), different.end(), 0);
}

TEST_F(ThreadsTest, FourThreadsAtOnceGiveTheBitsOfOneAlone) {
  for (const NamedKernel& named : kernels()) {
    const Outcome expected = alone(named);
    prepare_compute_thread();
    const auto kernel = named.make(threads);
    const auto prepared = prepare(*kernel, named.trial);
    EXPECT_EQ(differences(*kernel, named, expected, 25), 0)
        << named.name << " in " << size_of(named.element) << " bytes";
  }
}

TEST_F(ThreadsTest, TheNumberOfThreadsThatOpenMpWouldUseChangesNothing) {
  for (const NamedKernel& named : kernels()) {
    const Outcome expected = alone(named);
    on_fresh_thread([&] {
      omp_set_num_threads(8);
      prepare_compute_thread();
      const auto kernel = named.make(threads);
      const auto prepared = prepare(*kernel, named.trial);
      EXPECT_EQ(differences(*kernel, named, expected, 5), 0)
          << named.name << " in " << size_of(named.element) << " bytes";
    });
  }
}

}  // namespace
}  // namespace lockstep::test
