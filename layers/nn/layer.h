#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "layers/nn/parameter.h"
#include "layers/ops/kernel.h"
#include "layers/tensor/shape.h"

namespace lockstep {

// One layer of a network, made for the shapes of its inputs. It owns the names of its parameters and says how
// it computes one shard; it knows no neighbour, optimizer, file, rank or batch. The values of its parameters
// live in the model's arena.
class Layer {
 public:
  // How the plan treats it. Only a batch_norm crosses shards; a relu or an add may join the batch_norm before
  // it.
  enum class Kind : std::uint8_t { compute, batch_norm, relu, add };
  // What backward reads besides the output's gradient. It is kept, or computed again.
  struct BackwardReads {
    bool input = false;
    bool output = false;
  };

  virtual ~Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  const std::string& name() const { return name_; }  // path of names: "layer1.0.conv1"
  const SampleShape& input() const { return input_; }
  const SampleShape& output() const { return output_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }

  virtual std::string_view type() const = 0;  // as a layer list calls it
  virtual Kind kind() const { return Kind::compute; }
  virtual BackwardReads backward_reads() const { return {}; }
  // Whether its kernels take an epilogue: the add and the ReLU that follow it.
  virtual bool joins() const { return false; }
  // Compiled for one number of samples. A batch_norm has no kernel: the plan runs it.
  virtual std::unique_ptr<Kernel> make_kernel(const KernelShape& shape) const = 0;

 protected:
  Layer(std::string name, const SampleShape& input, const SampleShape& output)
      : name_(std::move(name)), input_(input), output_(output) {}
  // Values of a parameter of these dimensions. Throws UsageError where no memory could hold them: from here
  // on numbers and bytes of values fit 64 bits.
  std::int64_t checked_elements(std::string_view suffix, const Dims& dims) const;
  void declare(std::string_view suffix, Dims dims, Parameter::Role role, std::int64_t fan_in,
               double deviation = 0);
  // One whose values all start as `start`.
  void declare_constant(std::string_view suffix, Dims dims, Parameter::Role role, double start);

 private:
  std::string name_;
  SampleShape input_;
  SampleShape output_;
  std::vector<Parameter> parameters_;
};

}  // namespace lockstep
