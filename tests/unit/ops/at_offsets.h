#pragma once

#include <functional>
#include <string>
#include <vector>

#include "layers/ops/kernel.h"
#include "tests/unit/ops/harness.h"

// Runs a kernel on the same numbers at many addresses.
namespace lockstep::test {

inline constexpr std::size_t offsets = 32;  // of one element each: a cache line of bf16, two of fp32

inline Trial trial_of(std::size_t inputs, std::size_t input_size, std::size_t output_size,
                      const std::vector<std::size_t>& parameter_sizes = {}) {
  Trial trial;
  for (std::size_t i = 0; i < inputs; ++i) {
    trial.inputs.push_back(random_values(input_size, "input" + std::to_string(i)));
  }
  for (const std::size_t size : parameter_sizes) trial.parameters.push_back(random_values(size, "parameter"));
  trial.output_gradient = random_values(output_size, "gradient");
  return trial;
}

// make(shape) makes the kernel, for 3 samples and each element type; `step` elements lie between two offsets.
template <class Make>
void expect_same_at_offsets(const Make& make, const Trial& trial,
                            const std::function<std::size_t(Element)>& step, const std::string& what) {
  for (const Element element : elements_here()) {
    const auto kernel = make(KernelShape{.samples = 3, .element = element});
    const auto prepared = prepare(*kernel, trial);
    const Outcome expected = run(*kernel, element, trial);
    for (std::size_t i = 1; i < offsets; ++i) {
      const std::size_t offset = i * step(element);
      EXPECT_TRUE(same_bits(run(*kernel, element, trial, offset), expected))
          << what << " in " << size_of(element) << " bytes at offset " << offset;
    }
  }
}

inline std::size_t one(Element /*element*/) {
  return 1;
}
inline std::size_t cache_line(Element element) {
  return alignment / size_of(element);
}

}  // namespace lockstep::test
