  ;; What toolchains import of WASI 0.2, of some later patch version.
  (import "wasi:io/error@0.2.6" (instance $error
    (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error))
  (import "wasi:io/poll@0.2.6" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.ready" (func (param "self" (borrow $pollable)) (result bool)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:io/streams@0.2.6" (instance $streams
    (alias outer 1 $error (type $error0))
    (export "error" (type $error (eq $error0)))
    (alias outer 1 $pollable (type $pollable0))
    (export "pollable" (type $pollable (eq $pollable0)))
    (type $failed0 (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $failed (eq $failed0)))
    (export "input-stream" (type $in (sub resource)))
    (export "output-stream" (type $out (sub resource)))
    (export "[method]input-stream.read"
      (func (param "self" (borrow $in)) (param "len" u64) (result (result (list u8) (error $failed)))))
    (export "[method]input-stream.blocking-skip"
      (func (param "self" (borrow $in)) (param "len" u64) (result (result u64 (error $failed)))))
    (export "[method]input-stream.subscribe"
      (func (param "self" (borrow $in)) (result (own $pollable))))
    (export "[method]output-stream.check-write"
      (func (param "self" (borrow $out)) (result (result u64 (error $failed)))))
    (export "[method]output-stream.write"
      (func (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $failed)))))
    (export "[method]output-stream.blocking-flush"
      (func (param "self" (borrow $out)) (result (result (error $failed)))))
    (export "[method]output-stream.write-zeroes"
      (func (param "self" (borrow $out)) (param "len" u64) (result (result (error $failed)))))
    (export "[method]output-stream.splice"
      (func (param "self" (borrow $out)) (param "src" (borrow $in)) (param "len" u64)
        (result (result u64 (error $failed)))))))
  (alias export $streams "input-stream" (type $in))
  (alias export $streams "output-stream" (type $out))
  (import "wasi:cli/environment@0.2.6" (instance
    (export "get-environment" (func (result (list (tuple string string)))))
    (export "get-arguments" (func (result (list string))))
    (export "initial-cwd" (func (result (option string))))))
  (import "wasi:cli/exit@0.2.6" (instance
    (export "exit" (func (param "status" (result))))))
  (import "wasi:cli/stdin@0.2.6" (instance
    (alias outer 1 $in (type $in0)) (export "input-stream" (type $in (eq $in0)))
    (export "get-stdin" (func (result (own $in))))))
  (import "wasi:cli/stdout@0.2.6" (instance
    (alias outer 1 $out (type $out0)) (export "output-stream" (type $out (eq $out0)))
    (export "get-stdout" (func (result (own $out))))))
  (import "wasi:cli/terminal-output@0.2.6" (instance $terminal
    (export "terminal-output" (type (sub resource)))))
  (alias export $terminal "terminal-output" (type $terminal))
  (import "wasi:cli/terminal-stdout@0.2.6" (instance
    (alias outer 1 $terminal (type $terminal0))
    (export "terminal-output" (type $terminal (eq $terminal0)))
    (export "get-terminal-stdout" (func (result (option (own $terminal)))))))
  (import "wasi:clocks/monotonic-clock@0.2.6" (instance
    (alias outer 1 $pollable (type $pollable0))
    (export "pollable" (type $pollable (eq $pollable0)))
    (export "now" (func (result u64)))
    (export "resolution" (func (result u64)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (import "wasi:clocks/wall-clock@0.2.6" (instance $wall
    (type $datetime0 (record (field "seconds" u64) (field "nanoseconds" u32)))
    (export "datetime" (type $datetime (eq $datetime0)))
    (export "now" (func (result $datetime)))
    (export "resolution" (func (result $datetime)))))
  (import "wasi:random/random@0.2.6" (instance
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))
    (export "get-random-u64" (func (result u64)))))
  (import "wasi:random/insecure@0.2.6" (instance
    (export "get-insecure-random-u64" (func (result u64)))))
  (import "wasi:random/insecure-seed@0.2.6" (instance $seed
    (export "insecure-seed" (func (result (tuple u64 u64))))))
  (import "wasi:filesystem/types@0.2.6" (instance $files
    (type $code0 (enum "access" "again"))
    (export "error-code" (type $code (eq $code0)))
    (export "descriptor" (type $descriptor (sub resource)))
    (export "directory-entry-stream" (type (sub resource)))
    (export "[method]descriptor.sync"
      (func (param "self" (borrow $descriptor)) (result (result (error $code)))))))
  (alias export $files "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@0.2.6" (instance
    (alias outer 1 $descriptor (type $descriptor0))
    (export "descriptor" (type $descriptor (eq $descriptor0)))
    (export "get-directories" (func (result (list (tuple (own $descriptor) string)))))))
