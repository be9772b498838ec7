#pragma once

#include <cstddef>
#include <string>
#include <vector>

// Collects everything that is wrong with a configuration, to be told at once.
namespace lockstep {

// Where a value was given. Lines and columns count from 1; in a setting they mean nothing.
struct Origin {
  std::size_t source = 0;  // in the order of Mistakes::open_*
  int line = 0;
  int column = 0;
};

class Mistakes {
 public:
  // Begin reading a file, or a setting ("a.b=c") of the key `path`; answers the source for its Origins.
  std::size_t open_file(const std::string& name);
  std::size_t open_setting(const std::string& setting, const std::string& path);

  // `path` names the key (or the part of its value) that the text is about; empty: the text says it itself.
  void add(Origin origin, const std::string& path, const std::string& text);
  std::size_t size() const { return found_.size(); }

  // Throws UsageError with a line each, files first, each source by position; nothing where all is right.
  void raise() const;

 private:
  struct Source {
    std::string name;
    bool is_file = true;
    std::string path;  // of a setting
  };
  struct Mistake {
    Origin origin;
    std::string line;
  };
  std::vector<Source> sources_;
  std::vector<Mistake> found_;
};

}  // namespace lockstep
