#include "layers/model/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "comm/base/error.h"
#include "comm/tree/fixed_tree.h"
#include "comm/watch/life.h"
#include "layers/tensor/buffer.h"

namespace lockstep {

namespace {

std::size_t index(int id) {
  return static_cast<std::size_t>(id);
}

// So that gradients of one parameter lie alike behind 256 bytes in every shard's partials: where libraries
// choose how to compute by that, they choose the same way for all.
std::size_t whole_boundaries(std::size_t floats) {
  constexpr std::size_t boundary = 256 / sizeof(float);
  return (floats + boundary - 1) / boundary * boundary;
}

// What a trace calls the parts of a layer.
std::string_view part_name(Action::Kind kind) {
  switch (kind) {
    case Action::Kind::moments:
      return "moments";
    case Action::Kind::normalize:
      return "normalize";
    case Action::Kind::norm_sums:
      return "sums";
    case Action::Kind::norm_apply:
      return "apply";
    case Action::Kind::convert:
      return "convert";
    case Action::Kind::forward:
    case Action::Kind::loss:
    case Action::Kind::backward:
      break;
  }
  return "";
}

}  // namespace

// What one walk through the segments needs.
struct Plan::Run {
  std::span<const ShardInput> shards;
  const Loss& loss;
  std::int64_t step = 0;
  Communicator* comm = nullptr;
  StepStatistics* statistics = nullptr;  // null: forward with fixed ones
  std::span<const AffineStorage> fixed;
  const Training* training = nullptr;
  const float* norm_parameters = nullptr;  // an arena for the host
  std::vector<const Compiled*> shapes;     // a shard each; null: empty
  std::vector<Compiled*> distinct_shapes;
  bool first_time = false;  // for one of the shapes
};

Plan::Plan(const Parts& parts, ProgramOptions options)
    : parameters_(parts.parameters),
      device_(parts.device),
      arena_(parts.arena),
      norm_parameters_(parts.norm_parameters),
      device_statistics_(parts.device_statistics),
      layout_(parts.layout),
      pool_(parts.pool),
      workspace_(parts.workspace),
      program_(make_program(parts.graph, options)) {
  const auto loss = std::ranges::find(program_.actions, Action::Kind::loss, &Action::kind);
  loss_action_ = static_cast<int>(loss - program_.actions.begin());
  int norms = 0;
  for (const PlanOp& op : program_.ops) norm_numbers_.push_back(op.is_norm() ? norms++ : -1);

  partial_offsets_.assign(program_.actions.size(), 0);
  for (const Segment& segment : program_.segments) {
    std::size_t floats = 0;
    for (std::size_t number = index(segment.begin); number < index(segment.end); ++number) {
      if (!has_partials(program_.actions[number])) continue;
      partial_offsets_[number] = floats;
      for (const Parameter& parameter :
           program_.ops[index(program_.actions[number].op)].layer->parameters()) {
        floats += aligned_floats(parameter.count());
      }
    }
    partial_floats_ = std::max(partial_floats_, whole_boundaries(floats));
  }
  final_gradients_.resize(parameters_.floats() - parameters_.bucketed_floats());
}

// Whether an action leaves gradients of parameters that are summed over the shards in buckets.
bool Plan::has_partials(const Action& action) const {
  if (action.kind != Action::Kind::backward && action.kind != Action::Kind::norm_sums) return false;
  const Range range = parameters_.of(*program_.ops[index(action.op)].layer);
  return !range.empty() && static_cast<std::size_t>(range.begin) < parameters_.bucketed();
}

bool Plan::wants_input_gradients(const PlanOp& op) const {
  return std::ranges::any_of(program_.actions, [&](const Action& action) {
    const auto wanted = [](int item) { return item != no_item; };
    return action.kind == Action::Kind::backward && &program_.ops[index(action.op)] == &op &&
           (std::ranges::any_of(action.input_gradients, wanted) ||
            std::ranges::any_of(action.addends, wanted));
  });
}

std::array<const float*, max_parameters> Plan::parameters(const PlanOp& op, const float* arena) const {
  std::array<const float*, max_parameters> values{};
  const Range range = parameters_.of(*op.layer);
  for (std::int64_t i = 0; i < range.size(); ++i) {
    values[static_cast<std::size_t>(i)] =
        arena + parameters_.all()[static_cast<std::size_t>(range.begin + i)].offset;
  }
  return values;
}

Plan::Compiled& Plan::compiled(std::int64_t samples) {
  const auto found = compiled_.find(samples);
  if (found != compiled_.end()) return found->second;
  return compiled_.emplace(samples, compile(samples)).first->second;
}

std::unique_ptr<Kernel> Plan::make_kernel(const PlanOp& op, std::int64_t samples) const {
  try {
    return op.layer->make_kernel({.samples = samples,
                                  .threads = pool_.threads(),
                                  .training = program_.options.backward,
                                  .input_gradients = wants_input_gradients(op),
                                  .element = program_.options.element,
                                  .allow_reference = program_.options.allow_reference,
                                  .epilogue = {op.residual, op.relu},
                                  .device = &device_});
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("layer '{}': {}", op.layer->name(), error.what()));
  }
}

Plan::Compiled Plan::compile(std::int64_t samples) const {
  Compiled it;
  it.samples = samples;
  std::size_t scratch = aligned(device_.loss_scratch_bytes(samples));
  for (const PlanOp& op : program_.ops) {
    alive();  // planning a convolution takes a GPU's library a while
    if (op.is_norm()) {
      const SampleShape& rows = op.layer->input();
      scratch =
          std::max(scratch, aligned(device_.norm_scratch_bytes(samples * rows.pixels(), rows.channels)));
    }
    it.kernels.push_back(op.is_norm() ? nullptr : make_kernel(op, samples));
    if (!it.kernels.back()) continue;
    scratch = std::max(scratch, aligned(it.kernels.back()->scratch_bytes()));
  }
  it.prepared = PreparedParameters(program_, it.kernels);

  // Items of a kind are placed together; those of the other kind take part with no bytes.
  std::vector<Lifetime> in_shard;
  std::vector<Lifetime> in_thread;
  for (const Item& item : program_.items) {
    const std::size_t bytes = item.saves_op >= 0
                                  ? it.kernels[index(item.saves_op)]->saved_bytes()
                                  : static_cast<std::size_t>(item.elements * samples) * size_of(item.element);
    in_shard.push_back({.bytes = item.crosses ? bytes : 0, .first = item.first, .last = item.last});
    in_thread.push_back({.bytes = item.crosses ? 0 : bytes, .first = item.first, .last = item.last});
  }
  const MemoryMap shard = place(in_shard);
  const MemoryMap thread = place(in_thread);
  for (std::size_t i = 0; i < program_.items.size(); ++i) {
    it.offsets.push_back(program_.items[i].crosses ? shard.offsets[i] : scratch + thread.offsets[i]);
  }
  it.shard_bytes = shard.bytes;
  it.thread_bytes = scratch + thread.bytes;
  return it;
}

Plan::Bytes Plan::bytes(std::span<const std::int64_t> batches) {
  Bytes bytes;
  std::vector<const Compiled*> counted;
  for (const std::int64_t samples : batches) {
    std::size_t workspace =
        static_cast<std::size_t>(layout_.block().size()) * partial_floats_ * sizeof(float);
    std::size_t thread_bytes = 0;
    for (std::int64_t shard = layout_.block().begin; shard < layout_.block().end; ++shard) {
      const std::int64_t shard_samples = layout_.samples(samples, shard).size();
      if (shard_samples == 0) continue;
      const Compiled& it = compiled(shard_samples);
      workspace += it.shard_bytes;
      thread_bytes = std::max(thread_bytes, it.thread_bytes);
      if (std::ranges::find(counted, &it) != counted.end()) continue;
      counted.push_back(&it);
      bytes.kernels += it.prepared.bytes();
    }
    workspace += static_cast<std::size_t>(pool_.threads()) * thread_bytes;
    bytes.workspace = std::max(bytes.workspace, workspace);
  }
  return bytes;
}

void Plan::train(const Training& training, const Loss& loss) {
  Run run{.shards = training.batch.shards,
          .loss = loss,
          .step = training.step,
          .comm = &training.comm,
          .statistics = &training.statistics,
          .fixed = training.fixed,
          .training = &training,
          .norm_parameters = norm_parameters_.bring(arena_),
          .shapes = {},
          .distinct_shapes = {}};
  prepare(run);
  training.statistics.begin(training.batch.global);
  // What a GPU does for the first time may wait for all that it is at, and others would wait for this worker.
  const bool overlap = device_.is_host() || !run.first_time;
  training.reducer.begin(training.node_gradients, training.gradients, layout_.present(training.batch.global),
                         overlap);
  training.comm.set_phase(fmt::format("step {} forward", training.step + 1));
  for (const Segment& segment : program_.segments) {
    run_segment(run, segment);
    if (segment.backward || segment.norm < 0)
      training.comm.set_phase(fmt::format("step {} backward", training.step + 1));
    // Gradients that are sent first would be in the way of the statistics, for which everybody waits.
    if (segment.norm >= 0) meet(run, segment);
    fold_gradients(run, segment);
  }
  if (program_.options.fixed_statistics && training.statistics.global()) {
    for (const int norm : norm_numbers_) {
      if (norm >= 0) device_statistics_.bring_leaves(training.statistics, index(norm));
    }
    training.statistics.meet_all_sums(training.comm);
    for (int op = 0; op < static_cast<int>(program_.ops.size()); ++op) {
      if (program_.ops[index(op)].is_norm()) take_final_gradients(training, op);
    }
  }
  training.reducer.finish();
  device_.copy_in(training.gradients + parameters_.bucketed_floats(), final_gradients_.data(),
                  final_gradients_.size() * sizeof(float));
}

void Plan::observe(Communicator& comm, StepStatistics& statistics, const BatchInput& batch,
                   const Loss& loss) {
  Run run{.shards = batch.shards,
          .loss = loss,
          .step = 0,
          .comm = &comm,
          .statistics = &statistics,
          .fixed = {},
          .training = nullptr,
          .norm_parameters = norm_parameters_.bring(arena_),
          .shapes = {},
          .distinct_shapes = {}};
  prepare(run);
  statistics.begin(batch.global);
  for (const Segment& segment : program_.segments) {
    run_segment(run, segment);
    if (segment.norm >= 0) meet(run, segment);
  }
}

void Plan::infer(std::span<const ShardInput> shards, std::span<const AffineStorage> fixed, const Loss& loss) {
  Run run{.shards = shards,
          .loss = loss,
          .step = 0,
          .comm = nullptr,
          .statistics = nullptr,
          .fixed = fixed,
          .training = nullptr,
          .norm_parameters = nullptr,
          .shapes = {},
          .distinct_shapes = {}};
  prepare(run);
  for (const Segment& segment : program_.segments) run_segment(run, segment);
}

const Layer* Plan::first_not_finite(const Search& search) {
  const Loss no_loss = [](const Logits&) {};
  Run run{.shards = search.batch.shards,
          .loss = no_loss,
          .step = search.step,
          .comm = &search.comm,
          .statistics = &search.statistics,
          .fixed = search.fixed,
          .training = nullptr,
          .norm_parameters = norm_parameters_.bring(arena_),
          .shapes = {},
          .distinct_shapes = {}};
  prepare(run);
  search.statistics.begin(search.batch.global);
  std::int64_t mine = loss_action_;
  for (const Segment& segment : program_.segments) {
    mine = std::min<std::int64_t>(mine, first_not_finite(run, segment));
    if (segment.end > loss_action_) break;
    if (segment.norm >= 0) meet(run, segment);
  }
  const auto workers = static_cast<std::size_t>(search.comm.size());
  std::vector<std::int64_t> all(workers);
  search.comm
      .all_gather(Lane::statistics, "first not finite", std::span<const std::int64_t>(&mine, 1),
                  std::span(all), std::vector<std::size_t>(workers, 1))
      .wait();
  const auto first = static_cast<int>(std::ranges::min(all));
  return first == loss_action_ ? nullptr : program_.ops[index(program_.actions[index(first)].op)].layer;
}

// Primitives are made here, on one thread and outside any parallel region.
void Plan::prepare(Run& run) {
  device_.enter();
  workspace_.shards.resize(std::max(workspace_.shards.size(), run.shards.size()));
  workspace_.threads.resize(index(pool_.threads()));
  workspace_.partials.reserve(device_, run.shards.size() * partial_floats_ * sizeof(float));

  for (std::size_t shard = 0; shard < run.shards.size(); ++shard) {
    const std::int64_t samples = run.shards[shard].samples;
    Compiled* shape = samples == 0 ? nullptr : &compiled(samples);
    run.shapes.push_back(shape);
    if (shape == nullptr) continue;
    workspace_.shards[shard].reserve(device_, shape->shard_bytes);
    for (Memory& thread : workspace_.threads) thread.reserve(device_, shape->thread_bytes);
    if (std::ranges::find(run.distinct_shapes, shape) == run.distinct_shapes.end()) {
      run.distinct_shapes.push_back(shape);
      run.first_time |= !std::exchange(shape->has_run, true);
    }
  }
  if (program_.options.fixed_statistics) device_statistics_.send_affines(run.fixed);
  device_.wait();
}

// Brings parameters to where the kernels of a segment read them, on one thread.
void Plan::prepare_segment(const Run& run, const Segment& segment) {
  const auto number = static_cast<std::size_t>(&segment - program_.segments.data());
  bool any = false;
  for (Compiled* const shape : run.distinct_shapes) {
    any |= shape->prepared.prepare(device_, number,
                                   [&](int op) { return parameters(program_.ops[index(op)], arena_); });
  }
  if (any) device_.wait();
}

// Forward work behind the loss is done again, since its result was not kept.
TraceSpan Plan::traced(Trace* trace, int action, std::size_t shard, int thread) const {
  const Action& it = program_.actions[index(action)];
  const bool backward = action > loss_action_;
  const bool again = backward && (it.kind == Action::Kind::forward || it.kind == Action::Kind::normalize);
  const std::string_view nobody = it.kind == Action::Kind::convert ? "precision" : "loss";
  const std::string_view name =
      it.op < 0 ? nobody : std::string_view(program_.ops[index(it.op)].layer->name());
  return {trace,  backward ? "backward" : "forward",
          name,   again ? "again" : part_name(it.kind),
          thread, layout_.block().begin + static_cast<std::int64_t>(shard)};
}

void Plan::run_segment(Run& run, const Segment& segment) {
  Trace* const trace = run.comm == nullptr ? nullptr : run.comm->trace();
  {
    const TraceSpan span(trace, "work", "weights");
    prepare_segment(run, segment);
  }
  pool_.run(static_cast<std::int64_t>(run.shards.size()), [&](std::int64_t number, int thread) {
    const auto shard = static_cast<std::size_t>(number);
    if (run.shapes[shard] == nullptr) return;
    device_.enter();
    if (&segment == &program_.segments.front()) {
      device_.await_copy(run.shards[shard].images, thread);
      device_.await_copy(run.shards[shard].labels.data(), thread);
    }
    for (int action = segment.begin; action < segment.end; ++action) {
      // Before and not behind it: what this sends is then on its way while the action computes.
      if (run.training != nullptr && thread == 0) run.training->reducer.progress();
      {
        const TraceSpan span = traced(trace, action, shard, thread);
        execute(run, program_.actions[index(action)], shard, thread);
      }
      alive();
    }
  });
  // A device of its own is still at work: what goes between workers goes on meanwhile.
  while (run.training != nullptr && !device_.done()) {
    run.training->reducer.progress();
    std::this_thread::yield();
  }
  device_.wait();
}

// Pointers of one shard on one thread.
class Plan::View {
 public:
  View(const Plan& plan, const Run& run, std::size_t shard, int thread)
      : plan_(plan), run_(run), shard_(shard), thread_(thread) {}

  std::byte* bytes(int item) const {
    if (item < 0) return nullptr;
    const Memory& home = plan_.program_.items[index(item)].crosses ? plan_.workspace_.shards[shard_]
                                                                   : plan_.workspace_.threads[index(thread_)];
    return home.data() + run_.shapes[shard_]->offsets[index(item)];
  }
  // E: what the item holds.
  template <class E>
  E* data(int item) const {
    return reinterpret_cast<E*>(bytes(item));
  }
  std::int64_t count(int item) const {
    return plan_.program_.items[index(item)].elements * run_.shards[shard_].samples;
  }
  const void* input(int item) const {
    if (item == images_item) return run_.shards[shard_].images;
    return bytes(item);
  }
  template <class E>
  const E* input(int item) const {
    return static_cast<const E*>(input(item));
  }
  std::byte* scratch() const { return plan_.workspace_.threads[index(thread_)].data(); }
  // Where this action leaves the shard's gradient of its layer's parameters.
  std::array<float*, max_parameters> partials(const Action& action) const {
    std::array<float*, max_parameters> partials{};
    if (!plan_.has_partials(action)) return partials;
    const auto number = static_cast<std::size_t>(&action - plan_.program_.actions.data());
    float* at = plan_.workspace_.partials.data<float>() + shard_ * plan_.partial_floats_ +
                plan_.partial_offsets_[number];
    const auto& parameters = plan_.program_.ops[index(action.op)].layer->parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      partials[i] = at;
      at += aligned_floats(parameters[i].count());
    }
    return partials;
  }

 private:
  const Plan& plan_;
  const Run& run_;
  std::size_t shard_;
  int thread_;
};

// The number of the first action before the loss that gives any shard an output which is not finite, else the
// loss's. On this thread, as the device answers it alone.
int Plan::first_not_finite(Run& run, const Segment& segment) {
  int first = loss_action_;
  prepare_segment(run, segment);
  for (std::size_t shard = 0; shard < run.shards.size(); ++shard) {
    if (run.shapes[shard] == nullptr) continue;
    const View view(*this, run, shard, 0);
    for (int number = segment.begin; number < std::min(segment.end, loss_action_); ++number) {
      const Action& action = program_.actions[index(number)];
      execute(run, action, shard, 0);
      alive();
      if (number < first && action.op >= 0 && !is_finite(view, action.output)) first = number;
    }
  }
  device_.wait();
  return first;
}

bool Plan::is_finite(const View& view, int item) const {
  if (item < 0) return true;
  const auto count = static_cast<std::size_t>(view.count(item));
  if (program_.items[index(item)].element == Element::f32) {
    return device_.all_finite({view.data<float>(item), count});
  }
  const Memory wide(device_, count * sizeof(float));
  device_.convert(0, view.data<Bf16>(item), wide.data<float>(), view.count(item));
  return device_.all_finite({wide.data<float>(), count});
}

void Plan::execute(Run& run, const Action& action, std::size_t shard, int thread) {
  const View view(*this, run, shard, thread);
  if (action.kind == Action::Kind::loss) {
    run.loss({.shard = shard,
              .input = run.shards[shard],
              .thread = thread,
              .scratch = view.scratch(),
              .values = view.input<float>(action.inputs[0]),
              .gradient = view.data<float>(action.output_gradient)});
  } else if (action.kind == Action::Kind::convert) {
    execute_convert(view, action, thread);
  } else if (program_.ops[index(action.op)].is_norm()) {
    execute_norm(run, view, action, shard, thread);
  } else {
    execute_kernel(run, view, action, shard, thread);
  }
}

void Plan::execute_convert(const View& view, const Action& action, int thread) const {
  const std::int64_t count = view.count(action.output);
  if (program_.items[index(action.output)].element == Element::f32) {
    device_.convert(thread, view.input<Bf16>(action.inputs[0]), view.data<float>(action.output), count);
  } else {
    device_.convert(thread, view.input<float>(action.inputs[0]), view.data<Bf16>(action.output), count);
  }
}

void Plan::execute_kernel(Run& run, const View& view, const Action& action, std::size_t shard, int thread) {
  const PlanOp& op = program_.ops[index(action.op)];
  const Compiled& shape = *run.shapes[shard];
  const Kernel& kernel = *shape.kernels[index(action.op)];
  const std::array inputs{view.input(action.inputs[0]), view.input(action.inputs[1])};
  const ShardPosition position{
      .thread = thread, .step = run.step, .first_sample = run.shards[shard].first_sample};
  if (action.kind == Action::Kind::forward) {
    kernel.forward({.inputs = inputs,
                    .output = view.bytes(action.output),
                    .parameters = parameters(op, arena_),
                    .saved = view.bytes(action.saved),
                    .scratch = view.scratch(),
                    .position = position});
    return;
  }

  std::array<void*, max_inputs> gradients{};
  for (std::size_t i = 0; i < max_inputs; ++i) {
    gradients[i] = view.bytes(action.addends[i] != no_item ? action.addends[i] : action.input_gradients[i]);
  }
  kernel.backward({.inputs = inputs,
                   .output = view.bytes(action.output),
                   .output_gradient = view.bytes(action.output_gradient),
                   .input_gradients = gradients,
                   .parameters = parameters(op, arena_),
                   .parameter_gradients = view.partials(action),
                   .native_gradient = native_gradient(run, action) != nullptr,
                   .saved = view.bytes(action.saved),
                   .scratch = view.scratch(),
                   .position = position});
  add_up(view, action, thread);
}

void Plan::add_up(const View& view, const Action& action, int thread) const {
  for (std::size_t i = 0; i < max_inputs; ++i) {
    if (action.addends[i] == no_item) continue;
    device_.add_into(thread, program_.options.element, view.bytes(action.input_gradients[i]),
                     view.bytes(action.addends[i]), view.count(action.addends[i]));
  }
}

void Plan::execute_norm(Run& run, const View& view, const Action& action, std::size_t shard, int thread) {
  const PlanOp& op = program_.ops[index(action.op)];
  const auto norm = index(norm_numbers_[index(action.op)]);
  const Device::Rows at{.thread = thread,
                        .element = program_.options.element,
                        .rows = run.shards[shard].samples * op.layer->input().pixels(),
                        .channels = op.layer->input().channels,
                        .scratch = view.scratch()};
  const void* x = view.input(action.inputs[0]);
  const bool masked = op.relu && !op.residual;

  if (action.kind == Action::Kind::moments) {
    device_.moments(at, x, device_statistics_.leaf(*run.statistics, norm, shard));
    return;
  }
  const norm::Affine affine = affine_of(run, norm, shard);
  if (action.kind == Action::Kind::normalize) {
    device_.normalize(at, x, view.input(action.inputs[1]), op.relu, affine, view.bytes(action.output));
    return;
  }
  if (action.kind == Action::Kind::norm_sums) {
    double* const sums = device_statistics_.leaf(*run.statistics, norm, shard);
    device_.backward_sums(at, x, view.bytes(action.output), view.bytes(action.output_gradient), op.relu,
                          op.residual, affine, view.bytes(action.input_gradients[1]),
                          action.accumulate_residual, sums);
    const auto partials = view.partials(action);
    if (partials[0] != nullptr) {
      device_.convert(thread, sums + at.channels, partials[0], at.channels);
      device_.convert(thread, sums, partials[1], at.channels);
    }
    return;
  }
  void* gradient = view.bytes(action.addends[0] != no_item ? action.addends[0] : action.input_gradients[0]);
  if (gradient == nullptr) return;
  const void* output_gradient = view.bytes(action.output_gradient);
  if (program_.options.fixed_statistics) {
    device_.backward_frozen(at, x, output_gradient, masked, affine, gradient);
  } else {
    device_.backward_apply(at, x, output_gradient, masked, affine,
                           device_statistics_.group_sums(*run.statistics, norm, shard), gradient);
  }
  add_up(view, action, thread);
}

norm::Affine Plan::affine_of(const Run& run, std::size_t norm, std::size_t shard) const {
  return program_.options.fixed_statistics ? device_statistics_.affine(run.fixed, norm)
                                           : device_statistics_.affine(*run.statistics, norm, shard);
}

void Plan::meet(Run& run, const Segment& segment) {
  const PlanOp& op = program_.ops[index(segment.norm)];
  const auto norm = index(norm_numbers_[index(segment.norm)]);
  device_statistics_.bring_leaves(*run.statistics, norm);
  if (!segment.backward) {
    const auto affine = parameters(op, run.norm_parameters);
    run.statistics->meet_moments(*run.comm, norm, affine[0], affine[1]);
    device_statistics_.send_affines(*run.statistics, norm);
    return;
  }
  run.statistics->meet_sums(*run.comm, norm);
  device_statistics_.send_group_sums(*run.statistics, norm);
  if (run.statistics->global()) take_final_gradients(*run.training, segment.norm);
}

// A batch_norm's sums over the whole batch are its parameters' gradients.
void Plan::take_final_gradients(const Training& training, int op) {
  const Range range = parameters_.of(*program_.ops[index(op)].layer);
  if (range.empty()) return;
  const std::span<const double> sums = training.statistics.global_sums(index(norm_numbers_[index(op)]));
  const std::size_t channels = sums.size() / 2;
  const auto first = static_cast<std::size_t>(range.begin);
  const std::size_t scale = parameters_.all()[first].offset - parameters_.bucketed_floats();
  const std::size_t shift = parameters_.all()[first + 1].offset - parameters_.bucketed_floats();
  for (std::size_t c = 0; c < channels; ++c) {
    final_gradients_[scale + c] = static_cast<float>(sums[channels + c]);
    final_gradients_[shift + c] = static_cast<float>(sums[c]);
  }
}

// Sums the shards' gradients of the segment's parameters within each node that this worker folds alone, and
// hands them on.
void Plan::fold_gradients(Run& run, const Segment& segment) {
  const Training& training = *run.training;
  for (std::size_t number = index(segment.begin); number < index(segment.end); ++number) {
    const Action& action = program_.actions[number];
    if (!has_partials(action)) continue;
    const Layer& layer = *program_.ops[index(action.op)].layer;
    const TraceSpan span(training.comm.trace(), "reduce", layer.name(), "shards");
    const Range range = parameters_.of(layer);
    const Kernel* native = native_gradient(run, action);
    std::size_t offset = partial_offsets_[number];
    for (std::int64_t parameter = range.begin; parameter < range.end; ++parameter) {
      fold_partials(training, static_cast<std::size_t>(parameter), offset, native);
      offset += aligned_floats(parameters_.all()[static_cast<std::size_t>(parameter)].count());
      native = nullptr;
    }
    device_.wait();
    for (std::int64_t parameter = range.begin; parameter < range.end; ++parameter) {
      training.reducer.ready(static_cast<std::size_t>(parameter));
    }
  }
}

// The kernel whose layout an action leaves the gradient of its layer's first parameter in; null: the plain
// one. Shards of several sizes may have several layouts, which cannot be added.
const Kernel* Plan::native_gradient(const Run& run, const Action& action) const {
  if (action.kind != Action::Kind::backward || run.distinct_shapes.size() != 1) return nullptr;
  const Kernel* kernel = run.distinct_shapes.front()->kernels[index(action.op)].get();
  return has_partials(action) && kernel->has_native_gradient() ? kernel : nullptr;
}

// offset: of its gradient among a shard's partials. native: in whose layout that is, or null.
void Plan::fold_partials(const Training& training, std::size_t parameter, std::size_t offset,
                         const Kernel* native) const {
  const Parameter& it = parameters_.all()[parameter];
  const auto count = static_cast<std::int64_t>(it.count());
  const auto stride = static_cast<std::int64_t>(partial_floats_);
  const std::vector<Range>& nodes = training.reducer.nodes();
  for (std::size_t number = 0; number < nodes.size(); ++number) {
    const Range node = present_part(nodes[number], layout_.present(training.batch.global));
    if (node.empty()) continue;
    const auto first = static_cast<std::size_t>(node.begin - layout_.block().begin);
    float* const leaves = workspace_.partials.data<float>() + first * partial_floats_ + offset;
    float* const sum = training.node_gradients[number] + it.offset;
    device_.fold_sums(leaves, stride, node.size(), count, native == nullptr ? sum : leaves);
    if (native != nullptr) native->plain_gradient(leaves, sum, workspace_.threads.front().data());
  }
}

}  // namespace lockstep
