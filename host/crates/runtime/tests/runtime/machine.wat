;; A state machine written by hand: a counter, and one misdeed per command. The first byte of the
;; first command says what `apply` does; the config `mode` says what the other calls do.
(component
  (import "coracle:fsm/environment@0.1.0" (instance $environment
    (export "time" (func (result u64)))
    (export "random" (func (param "len" u32) (result (list u8))))
    (export "config" (func (param "key" (list u8)) (result (option (list u8)))))))
  (import "coracle:fsm/log@0.1.0" (instance $log
    (export "write" (func (param "level" u8) (param "message" (list u8))))))
  (import "coracle:fsm/state@0.1.0" (instance $state
    (export "sink" (type $sink (sub resource)))
    (export "source" (type $source (sub resource)))
    (export "[method]sink.write"
      (func (param "self" (borrow $sink)) (param "chunk" (list u8))))
    (export "[method]source.read"
      (func (param "self" (borrow $source)) (param "max" u32) (result (list u8))))))
  (alias export $state "sink" (type $sink))
  (alias export $state "source" (type $source))

  ;; Memory and a bump allocator that post-return resets.
  (core module $Heap
    (memory (export "memory") 2)
    (global $top (mut i32) (i32.const 65536))
    (func (export "realloc") (param $old i32) (param $len i32) (param $align i32) (param $new i32)
      (result i32)
      (local $at i32)
      (local.set $at
        (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get $new)))
      (block $fits (loop $grow
        (br_if $fits (i32.le_u (global.get $top)
          (i32.shl (memory.size) (i32.const 16))))
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
        (br $grow)))
      (local.get $at))
    (func (export "reset") (global.set $top (i32.const 65536))))
  (core instance $heap (instantiate $Heap))
  (alias core export $heap "memory" (core memory $memory))
  (alias core export $heap "realloc" (core func $realloc))

  (core func $time (canon lower (func $environment "time")))
  (core func $random (canon lower (func $environment "random")
    (memory $memory) (realloc (core func $realloc))))
  (core func $config (canon lower (func $environment "config")
    (memory $memory) (realloc (core func $realloc))))
  (core func $write_log (canon lower (func $log "write") (memory $memory)))
  (core func $write (canon lower (func $state "[method]sink.write") (memory $memory)))
  (core func $read (canon lower (func $state "[method]source.read")
    (memory $memory) (realloc (core func $realloc))))
  (core func $drop_sink (canon resource.drop $sink))
  (core func $drop_source (canon resource.drop $source))

  (core module $Main
    (import "heap" "memory" (memory 1))
    (import "heap" "realloc" (func $alloc (param i32 i32 i32 i32) (result i32)))
    (import "host" "time" (func $time (result i64)))
    (import "host" "random" (func $random (param i32 i32)))
    (import "host" "config" (func $config (param i32 i32 i32)))
    (import "host" "write_log" (func $write_log (param i32 i32 i32)))
    (import "host" "write" (func $write (param i32 i32 i32)))
    (import "host" "read" (func $read (param i32 i32 i32)))
    (import "host" "drop_sink" (func $drop_sink (param i32)))
    (import "host" "drop_source" (func $drop_source (param i32)))

    ;; 16 counter, 32 what a function returns, 64 what an import returns, 128 the sink kept.
    (data (i32.const 200) "fixture1.0.0moderefused")

    (func $mode (result i32)
      (call $config (i32.const 212) (i32.const 4) (i32.const 64))
      (if (result i32) (i32.load8_u (i32.const 64))
        (then (i32.load8_u (i32.load (i32.const 68))))
        (else (i32.const 0))))

    (func (export "describe") (result i32)
      (i32.store (i32.const 32) (i32.const 200)) (i32.store (i32.const 36) (i32.const 7))
      (i32.store (i32.const 40) (i32.const 207)) (i32.store (i32.const 44) (i32.const 5))
      (i32.const 32))

    (func $ok (result i32) (i32.store8 (i32.const 32) (i32.const 0)) (i32.const 32))
    (func $refused (result i32)
      (i32.store8 (i32.const 32) (i32.const 1))
      (i32.store (i32.const 36) (i32.const 216)) (i32.store (i32.const 40) (i32.const 7))
      (i32.const 32))

    ;; mode e: refuse, s: spin.
    (func (export "init") (result i32)
      (local $mode i32)
      (local.set $mode (call $mode))
      (if (i32.eq (local.get $mode) (i32.const 0x73)) (then (loop $spin (br $spin))))
      (if (i32.eq (local.get $mode) (i32.const 0x65)) (then (return (call $refused))))
      (call $ok))

    (func $bare (param $n i32) (result i32)
      (i32.add (i32.const 1) (call $bare (i32.add (local.get $n) (i32.const 1)))))

    ;; With a frame in linear memory, as LLVM would have it.
    (global $sp (mut i32) (i32.const 32768))
    (func $framed (param $n i32) (result i32)
      (local $frame i32)
      global.get $sp
      i32.const 64
      i32.sub
      local.tee $frame
      global.set $sp
      (i32.store offset=8 (local.get $frame) (local.get $n))
      (i32.add (call $framed (i32.load offset=8 (local.get $frame))) (i32.const 1)))

    ;; Many values live across the call, and two results.
    (func $wide (param $n i64) (result i64 i64)
      (local $a i64) (local $b i64) (local $c i64) (local $d i64)
      (if (i64.eqz (local.get $n)) (then (return (i64.const 1) (i64.const 2))))
      (local.set $a (i64.load (i32.const 16)))
      (local.set $b (i64.mul (local.get $a) (local.get $n)))
      (local.set $c (i64.add (local.get $b) (local.get $n)))
      (call $wide (i64.sub (local.get $n) (i64.const 1)))
      (local.set $d)
      (i64.add (i64.add (local.get $a) (local.get $b)))
      (i64.add (local.get $c) (local.get $d)))

    (func (export "apply") (param $frame i32) (param $len i32) (result i32)
      (local $count i32) (local $op i32) (local $out i32) (local $at i32) (local $size i32)
      (local $i i32)
      (local.set $count (i32.load (local.get $frame)))
      (if (local.get $count)
        (then (local.set $op (i32.load8_u offset=8 (local.get $frame)))))
      ;; p: panic
      (if (i32.eq (local.get $op) (i32.const 0x70)) (then unreachable))
      ;; z: divide by zero
      (if (i32.eq (local.get $op) (i32.const 0x7a))
        (then (drop (i32.div_u (i32.const 1) (i32.const 0)))))
      ;; s: spin
      (if (i32.eq (local.get $op) (i32.const 0x73)) (then (loop $spin (br $spin))))
      ;; m: take memory without end
      (if (i32.eq (local.get $op) (i32.const 0x6d)) (then (loop $more
        (drop (call $alloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 1048576)))
        (br $more))))
      ;; r: recurse without a frame of its own
      (if (i32.eq (local.get $op) (i32.const 0x72))
        (then (drop (call $bare (i32.const 0)))))
      ;; f: recurse with a frame in linear memory
      (if (i32.eq (local.get $op) (i32.const 0x66))
        (then (drop (call $framed (i32.const 0)))))
      ;; w: recurse with live values; W: the same, but not too deep
      (if (i32.eq (local.get $op) (i32.const 0x77))
        (then (drop (drop (call $wide (i64.const 1000000000))))))
      (if (i32.eq (local.get $op) (i32.const 0x57))
        (then (drop (drop (call $wide (i64.const 10000))))))
      ;; g: giant reply, b: reply out of bounds, c: one outcome too few, k: use the sink kept
      (i32.store (i32.const 32) (i32.const 0))
      (if (i32.eq (local.get $op) (i32.const 0x67)) (then
        (drop (memory.grow (i32.const 128)))
        (i32.store (i32.const 36) (i32.const 8388608)) (return (i32.const 32))))
      (if (i32.eq (local.get $op) (i32.const 0x62)) (then
        (i32.store (i32.const 36) (i32.const -1)) (return (i32.const 32))))
      (if (i32.eq (local.get $op) (i32.const 0x63))
        (then (local.set $count (i32.sub (local.get $count) (i32.const 1)))))
      (if (i32.eq (local.get $op) (i32.const 0x6b))
        (then (call $write (i32.load (i32.const 128)) (i32.const 0) (i32.const 8))))
      ;; l: log more than the limit, without end
      (if (i32.eq (local.get $op) (i32.const 0x6c)) (then (loop $more
        (call $write_log (i32.const 2) (i32.const 200) (i32.const 1024)) (br $more))))
      ;; h: draw random bytes without end
      (if (i32.eq (local.get $op) (i32.const 0x68)) (then (loop $more
        (call $random (i32.const 4096) (i32.const 64)) (br $more))))
      ;; anything else counts; n is refused, R adds a random number, t adds the time
      (local.set $size (i32.add (i32.const 4) (i32.mul (local.get $count) (i32.const 13))))
      (local.set $out
        (call $alloc (i32.const 0) (i32.const 0) (i32.const 8) (local.get $size)))
      (i32.store (i32.const 32) (local.get $out))
      (i32.store (i32.const 36) (local.get $size))
      (i32.store (local.get $out) (local.get $count))
      (local.set $at (i32.add (local.get $out) (i32.const 4)))
      (local.set $frame (i32.add (local.get $frame) (i32.const 4)))
      (block $done (loop $next
        (br_if $done (i32.eq (local.get $i) (local.get $count)))
        (local.set $op (i32.load8_u offset=4 (local.get $frame)))
        (call $one (local.get $op))
        (i32.store8 (local.get $at) (i32.eq (local.get $op) (i32.const 0x6e)))
        (i32.store offset=1 (local.get $at) (i32.const 8))
        (i64.store offset=5 (local.get $at) (i64.load (i32.const 16)))
        (local.set $at (i32.add (local.get $at) (i32.const 13)))
        (local.set $frame
          (i32.add (local.get $frame) (i32.add (i32.const 4) (i32.load (local.get $frame)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
      (i32.const 32))

    (func $one (param $op i32)
      (local $step i64)
      (local.set $step (i64.const 1))
      (if (i32.eq (local.get $op) (i32.const 0x6e)) (then (return)))
      (if (i32.eq (local.get $op) (i32.const 0x52)) (then
        (call $random (i32.const 8) (i32.const 64))
        (local.set $step (i64.load (i32.load (i32.const 64))))))
      (if (i32.eq (local.get $op) (i32.const 0x74)) (then (local.set $step (call $time))))
      (i64.store (i32.const 16) (i64.add (i64.load (i32.const 16)) (local.get $step))))

    ;; g: the counter, r: random, t: time, p: panic, s: spin, b: bad discriminant; else refused
    (func (export "query") (param $request i32) (param $len i32) (result i32)
      (local $op i32)
      (local.set $op (i32.load8_u (local.get $request)))
      (i32.store8 (i32.const 32) (i32.const 0))
      (i32.store (i32.const 36) (i32.const 48)) (i32.store (i32.const 40) (i32.const 8))
      (i64.store (i32.const 48) (i64.load (i32.const 16)))
      (if (i32.eq (local.get $op) (i32.const 0x67)) (then (return (i32.const 32))))
      (if (i32.eq (local.get $op) (i32.const 0x72)) (then
        (call $random (i32.const 8) (i32.const 64))
        (i64.store (i32.const 48) (i64.load (i32.load (i32.const 64))))
        (return (i32.const 32))))
      (if (i32.eq (local.get $op) (i32.const 0x74)) (then
        (i64.store (i32.const 48) (call $time)) (return (i32.const 32))))
      (if (i32.eq (local.get $op) (i32.const 0x70)) (then unreachable))
      (if (i32.eq (local.get $op) (i32.const 0x73)) (then (loop $spin (br $spin))))
      (if (i32.eq (local.get $op) (i32.const 0x62)) (then
        (i32.store8 (i32.const 32) (i32.const 7)) (return (i32.const 32))))
      (call $refused))

    ;; mode t: trap, x: write without end, k: keep the sink, r: refuse
    (func (export "snapshot") (param $sink i32) (result i32)
      (local $mode i32)
      (local.set $mode (call $mode))
      (if (i32.eq (local.get $mode) (i32.const 0x74)) (then unreachable))
      (if (i32.eq (local.get $mode) (i32.const 0x78)) (then (loop $more
        (call $write (local.get $sink) (i32.const 0) (i32.const 65536)) (br $more))))
      (call $write (local.get $sink) (i32.const 16) (i32.const 8))
      (if (i32.eq (local.get $mode) (i32.const 0x6b)) (then
        (i32.store (i32.const 128) (local.get $sink)) (return (call $ok))))
      (call $drop_sink (local.get $sink))
      (if (i32.eq (local.get $mode) (i32.const 0x72)) (then (return (call $refused))))
      (call $ok))

    ;; mode y: trap; a source of another length than 8 is refused
    (func (export "restore") (param $source i32) (result i32)
      (if (i32.eq (call $mode) (i32.const 0x79)) (then unreachable))
      (call $read (local.get $source) (i32.const 64) (i32.const 64))
      (call $drop_source (local.get $source))
      (if (i32.ne (i32.load (i32.const 68)) (i32.const 8)) (then (return (call $refused))))
      (i64.store (i32.const 16) (i64.load (i32.load (i32.const 64))))
      (call $ok)))

  (core instance $main (instantiate $Main
    (with "heap" (instance $heap))
    (with "host" (instance
      (export "time" (func $time)) (export "random" (func $random))
      (export "config" (func $config)) (export "write_log" (func $write_log))
      (export "write" (func $write)) (export "read" (func $read))
      (export "drop_sink" (func $drop_sink)) (export "drop_source" (func $drop_source))))))

  (type $description (record (field "name" (list u8)) (field "version" (list u8))))
  (core module $Post
    (import "heap" "reset" (func $reset))
    (func (export "post") (param i32) (call $reset)))
  (core instance $post (instantiate $Post (with "heap" (instance $heap))))
  (alias core export $post "post" (core func $reset))

  (func $describe (result $description)
    (canon lift (core func $main "describe") (memory $memory)))
  (func $init (result (result (error (list u8))))
    (canon lift (core func $main "init") (memory $memory) (post-return (core func $reset))))
  (func $apply (param "frame" (list u8)) (result (list u8))
    (canon lift (core func $main "apply")
      (memory $memory) (realloc (core func $realloc)) (post-return (core func $reset))))
  (func $query (param "request" (list u8)) (result (result (list u8) (error (list u8))))
    (canon lift (core func $main "query")
      (memory $memory) (realloc (core func $realloc)) (post-return (core func $reset))))
  (func $snapshot (param "sink" (own $sink)) (result (result (error (list u8))))
    (canon lift (core func $main "snapshot") (memory $memory) (post-return (core func $reset))))
  (func $restore (param "source" (own $source)) (result (result (error (list u8))))
    (canon lift (core func $main "restore") (memory $memory) (post-return (core func $reset))))

  ;; An interface's types must be named where it is exported.
  (component $Machine
    (type $description0 (record (field "name" (list u8)) (field "version" (list u8))))
    (import "type-description" (type $description1 (eq $description0)))
    (import "type-sink" (type $sink (sub resource)))
    (import "type-source" (type $source (sub resource)))
    (import "describe" (func $describe (result $description1)))
    (import "init" (func $init (result (result (error (list u8))))))
    (import "apply" (func $apply (param "frame" (list u8)) (result (list u8))))
    (import "query"
      (func $query (param "request" (list u8)) (result (result (list u8) (error (list u8))))))
    (import "snapshot"
      (func $snapshot (param "sink" (own $sink)) (result (result (error (list u8))))))
    (import "restore"
      (func $restore (param "source" (own $source)) (result (result (error (list u8))))))
    (export $sink2 "sink" (type $sink))
    (export $source2 "source" (type $source))
    (export $description "description" (type $description1))
    (export "describe" (func $describe) (func (result $description)))
    (export "init" (func $init))
    (export "apply" (func $apply))
    (export "query" (func $query))
    (export "snapshot" (func $snapshot)
      (func (param "sink" (own $sink2)) (result (result (error (list u8))))))
    (export "restore" (func $restore)
      (func (param "source" (own $source2)) (result (result (error (list u8)))))))
  (instance $machine (instantiate $Machine
    (with "type-description" (type $description))
    (with "type-sink" (type $sink))
    (with "type-source" (type $source))
    (with "describe" (func $describe)) (with "init" (func $init))
    (with "apply" (func $apply)) (with "query" (func $query))
    (with "snapshot" (func $snapshot)) (with "restore" (func $restore))))
  (export "coracle:fsm/machine@0.1.0" (instance $machine)))
