#include "comm/mpi/links.h"

#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "comm/mpi/calls.h"

namespace lockstep {
namespace {

// MPI's control variables, each called <framework>_<component>_<name>. Open MPI closes the components that
// are not to be used, or cannot be used here, and takes their variables away.
class Variables {
 public:
  Variables() {
    int provided = 0;
    require(MPI_T_init_thread(MPI_THREAD_SINGLE, &provided));
    int count = 0;
    require(MPI_T_cvar_get_num(&count));
    for (int index = 0; index < count; ++index) {
      if (const std::string name = name_of(index); !name.empty()) indices_[name] = index;
    }
  }
  ~Variables() { MPI_T_finalize(); }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

  // Those of a framework that are open.
  std::set<std::string> components(const std::string& framework) const {
    std::set<std::string> found;
    const std::string begin = framework + "_";
    for (auto it = indices_.lower_bound(begin); it != indices_.end() && it->first.starts_with(begin); ++it) {
      const std::string rest = it->first.substr(begin.size());
      const std::string component = rest.substr(0, rest.find('_'));
      if (component != rest && component != "base") found.insert(component);
    }
    return found;
  }

  std::optional<unsigned> number(const std::string& name) const {
    unsigned value = 0;
    const bool read = with(name, [&](MPI_T_cvar_handle handle, int index, int count) {
      return count == 1 && type_of(index) == MPI_UNSIGNED && MPI_T_cvar_read(handle, &value) == MPI_SUCCESS;
    });
    return read ? std::optional(value) : std::nullopt;
  }

  // Empty where there is none.
  std::string text(const std::string& name) const {
    std::vector<char> value;
    const bool read = with(name, [&](MPI_T_cvar_handle handle, int index, int count) {
      value.resize(static_cast<std::size_t>(count) + 1);
      return type_of(index) == MPI_CHAR && MPI_T_cvar_read(handle, value.data()) == MPI_SUCCESS;
    });
    return read ? value.data() : "";
  }

 private:
  static std::string name_of(int index) {
    std::array<char, 256> name{};
    int length = name.size();
    int verbosity = 0;
    MPI_Datatype type = MPI_DATATYPE_NULL;
    MPI_T_enum values = MPI_T_ENUM_NULL;
    int bind = 0;
    int scope = 0;
    const int result = MPI_T_cvar_get_info(index, name.data(), &length, &verbosity, &type, &values, nullptr,
                                           nullptr, &bind, &scope);
    return result == MPI_SUCCESS ? name.data() : "";
  }

  static MPI_Datatype type_of(int index) {
    int verbosity = 0;
    MPI_Datatype type = MPI_DATATYPE_NULL;
    MPI_T_enum values = MPI_T_ENUM_NULL;
    int bind = 0;
    int scope = 0;
    MPI_T_cvar_get_info(index, nullptr, nullptr, &verbosity, &type, &values, nullptr, nullptr, &bind, &scope);
    return type;
  }

  template <class Read>
  bool with(const std::string& name, const Read& read) const {
    const auto found = indices_.find(name);
    MPI_T_cvar_handle handle = MPI_T_CVAR_HANDLE_NULL;
    int count = 0;
    if (found == indices_.end()) return false;
    if (MPI_T_cvar_handle_alloc(found->second, nullptr, &handle, &count) != MPI_SUCCESS) return false;
    const bool done = read(handle, found->second, count);
    MPI_T_cvar_handle_free(&handle);
    return done;
  }

  std::map<std::string, int> indices_;
};

// The byte transfer layers of Open MPI that reach the workers of the same host alone.
bool shares_memory(std::string_view btl) {
  return btl == "vader" || btl == "sm" || btl == "smcuda";
}

// As a person knows it.
std::string in_words(const Variables& variables, const std::string& btl) {
  if (shares_memory(btl)) return fmt::format("shared memory ({})", btl);
  if (btl != "tcp") return btl;
  if (const std::string only = variables.text("btl_tcp_if_include"); !only.empty()) {
    return fmt::format("TCP on {}", only);
  }
  const std::string excluded = variables.text("btl_tcp_if_exclude");
  return excluded.empty() ? "TCP" : fmt::format("TCP on all networks but {}", excluded);
}

// ob1 sends to a worker through the open layer of the highest exclusivity that reaches it and can send
// (mca_bml_r2_add_procs).
std::string preferred(const Variables& variables, bool within_host) {
  constexpr unsigned can_send = 1;  // MCA_BTL_FLAGS_SEND
  std::string best;
  unsigned most = 0;
  for (const std::string& btl : variables.components("btl")) {
    const auto exclusivity = variables.number(fmt::format("btl_{}_exclusivity", btl));
    const auto flags = variables.number(fmt::format("btl_{}_flags", btl));
    if (btl == "self" || !exclusivity || !flags || (*flags & can_send) == 0) continue;
    if (!within_host && shares_memory(btl)) continue;
    if (!best.empty() && *exclusivity <= most) continue;
    best = btl;
    most = *exclusivity;
  }
  return best.empty() ? "" : in_words(variables, best);
}

// "Open MPI v4.1.4"
std::string library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  require(MPI_Get_library_version(text.data(), &length));
  const std::string_view all(text.data());
  return std::string(all.substr(0, all.find_first_of(",\n")));
}

}  // namespace

Links ask_mpi_for_links() {
  const Variables variables;
  const auto managers = variables.components("pml");
  if (managers.contains("ob1")) {
    return {preferred(variables, true), preferred(variables, false), library() + ", pml ob1"};
  }
  // The other managers choose by themselves, and tell nobody; cm has no variables, but one open mtl.
  std::string carrier = library();
  for (const std::string& pml : managers) carrier += ", pml " + pml;
  const auto matching = variables.components("mtl");
  if (managers.empty() && matching.size() == 1) carrier += ", mtl " + *matching.begin();
  return {"", "", carrier};
}

}  // namespace lockstep
