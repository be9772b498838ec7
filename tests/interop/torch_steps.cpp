// Trains a network of the zoo for some steps on synthetic images, on thread workers, and writes all that
// another framework needs to do the same: start, images, labels, and what came out. torch_steps.py reads it.
//
//   interop_steps FILE WORKERS STEPS MODEL SIDE fp32|bf16 CLIP_NORM
//
// Exit code 77 where this processor computes nothing in bf16.
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "comm/threads/threads.h"
#include "layers/model/model.h"
#include "layers/ops/processor.h"
#include "layers/tensor/buffer.h"
#include "layers/tensor/random.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/optim/clip.h"
#include "trainer/optim/optimizer.h"

using namespace lockstep;

namespace {

constexpr std::int64_t batch_size = 32;
constexpr double learning_rate = 0.01;

// Owns the tensors that the file will hold.
class Record {
 public:
  void keep(std::string name, DType dtype, Dims dims, std::span<const std::byte> bytes) {
    Buffer copy(bytes.size());
    std::copy(bytes.begin(), bytes.end(), copy.data());
    tensors_.push_back({.name = std::move(name),
                        .dtype = dtype,
                        .dims = std::move(dims),
                        .bytes = {copy.data(), bytes.size()}});
    memory_.push_back(std::move(copy));
  }
  void keep_state(const std::string& prefix, Model& model) {
    for (const ModelTensor& tensor : model.state())
      keep(prefix + tensor.name, tensor.dtype, tensor.dims, tensor.bytes);
  }
  void keep_gradients(Model& model) {
    for (const Parameter& parameter : model.parameters()) {
      keep("gradient." + parameter.name, DType::f32, parameter.dims,
           std::as_bytes(model.gradients().subspan(parameter.offset, parameter.count())));
    }
  }
  void write(const std::string& file) const { write_safetensors(file, tensors_, {}); }

 private:
  std::vector<Buffer> memory_;
  std::vector<TensorView> tensors_;
};

// The images of one step: a pattern a class with noise, so that the loss moves.
std::vector<float> make_images(std::int64_t step, const SampleShape& shape,
                               std::vector<std::int32_t>& labels) {
  const Random noise(1, "noise");
  const Random patterns(1, "patterns");
  std::vector<float> images(static_cast<std::size_t>(batch_size * shape.elements()));
  labels.assign(static_cast<std::size_t>(batch_size), 0);
  for (std::int64_t sample = 0; sample < batch_size; ++sample) {
    const auto label = static_cast<std::int32_t>((sample * 3 + step) % 10);
    labels[static_cast<std::size_t>(sample)] = label;
    for (std::int64_t i = 0; i < shape.elements(); ++i) {
      const auto element = static_cast<std::uint64_t>(i);
      const auto at = static_cast<std::uint64_t>(step * batch_size + sample);
      images[static_cast<std::size_t>(sample * shape.elements() + i)] =
          2.0F * Random::uniform(patterns.bits(element, static_cast<std::uint64_t>(label))[0]) - 1.0F +
          2.0F * Random::uniform(noise.bits(element, at)[0]) - 1.0F;
    }
  }
  return images;
}

// A start in which fp32 and fp64 agree about ReLUs: shifts twice the scales leave few ReLUs off, and hardly
// any so close to 0 that rounding decides; each that rounding does decide moves gradients by a thousandth,
// which says nothing about who is right. Small scales keep such a start trainable.
void set_start(Model& model) {
  for (const Parameter& parameter : model.parameters()) {
    const std::span<float> values = model.arena().subspan(parameter.offset, parameter.count());
    const Random random(2, "start", parameter.name);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float uniform = Random::uniform(random.bits(i)[0]);
      if (parameter.role == Parameter::Role::norm_scale) values[i] = 0.2F + 0.1F * uniform;
      if (parameter.role == Parameter::Role::norm_shift) values[i] = 0.4F + 0.2F * uniform;
    }
  }
}

std::vector<ParameterRange> ranges_of(const Model& model) {
  std::vector<ParameterRange> ranges;
  for (const Parameter& parameter : model.parameters()) {
    ranges.push_back({.name = parameter.name,
                      .offset = parameter.offset,
                      .count = parameter.count(),
                      .decays = parameter.decays()});
  }
  return ranges;
}

void train(Communicator& comm, const ModelOptions& options, std::int64_t steps, double clip_norm,
           Record& record) {
  Model model(options, comm.size(), comm.rank());
  model.initialize();
  set_start(model);
  GradientReducer reducer(comm, model.layout(), model.gradient_tensors(), {});
  const OptimizerConfig settings{.lr = learning_rate,
                                 .momentum = 0.9,
                                 .nesterov = true,
                                 .weight_decay = 5e-4,
                                 .clip_norm = clip_norm,
                                 .rules = {}};
  const auto optimizer = make_optimizer(settings, ranges_of(model), model.arena().size());
  if (comm.rank() == 0) record.keep_state("start.", model);

  std::vector<double> losses;
  std::vector<double> norms;  // of the gradients, before clipping
  for (std::int64_t step = 0; step < steps; ++step) {
    std::vector<std::int32_t> labels;
    const std::vector<float> images = make_images(step, options.input, labels);
    std::vector<Buffer> memory;
    BatchInput batch{.global = batch_size, .shards = {}};
    for (std::int64_t shard = model.layout().block().begin; shard < model.layout().block().end; ++shard) {
      const Range samples = model.layout().samples(batch_size, shard);
      const auto begin = images.begin() + samples.begin * options.input.elements();
      const auto count = samples.size() * options.input.elements();
      memory.emplace_back(static_cast<std::size_t>(count) * sizeof(float));
      std::copy(begin, begin + count, memory.back().as<float>().begin());
      batch.shards.push_back({.images = memory.back().as<float>().data(),
                              .labels = std::span(labels).subspan(static_cast<std::size_t>(samples.begin),
                                                                  static_cast<std::size_t>(samples.size())),
                              .first_sample = samples.begin,
                              .samples = samples.size()});
    }
    losses.push_back(model.train_step(comm, reducer, batch, step).loss / static_cast<double>(batch_size));
    norms.push_back(clip_gradients(settings, model.gradients()).value_or(0));
    optimizer->update(model.arena(), model.gradients(), learning_rate, step);
    if (comm.rank() != 0) continue;
    const std::string number = std::to_string(step);
    record.keep("images." + number, DType::f32,
                {batch_size, options.input.height, options.input.width, options.input.channels},
                std::as_bytes(std::span(images)));
    record.keep("labels." + number, DType::i32, {batch_size}, std::as_bytes(std::span(labels)));
    if (step == 0) {
      record.keep_gradients(model);
      record.keep_state("after.", model);
    }
  }
  if (comm.rank() == 0) {
    record.keep("losses", DType::f64, {steps}, std::as_bytes(std::span(losses)));
    record.keep("norms", DType::f64, {steps}, std::as_bytes(std::span(norms)));
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 8) {
    std::cerr << "usage: interop_steps FILE WORKERS STEPS MODEL SIDE fp32|bf16 CLIP_NORM\n";
    return 2;
  }
  Record record;
  const std::int64_t side = std::atoll(arguments[5]);
  ModelOptions options;
  options.spec.name = arguments[4];
  options.input = {.height = side, .width = side, .channels = 3};
  options.training = std::string(arguments[6]) == "bf16" ? Element::bf16 : Element::f32;
  if (!computes_in(options.training)) return 77;
  const std::int64_t steps = std::atoll(arguments[3]);
  const double clip_norm = std::atof(arguments[7]);
  run_threads(std::atoi(arguments[2]),
              [&](Communicator& comm) { train(comm, options, steps, clip_norm, record); });
  record.write(arguments[1]);
  return 0;
}
