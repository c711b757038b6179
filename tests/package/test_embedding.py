def test_daemon_threads_that_compute_at_exit_do_not_abort():
    result = run(
        "import threading, time\n"
        "import numpy as np, mobileone\n"
        "model = mobileone.reparameterize(mobileone.create_model('mobileone_mu0'))\n"
        "x = np.zeros((1, 3, 64, 64), np.float32)\n"
        "model(x)\n"
        "started = threading.Barrier(4)\n"
        "def work():\n"
        "    started.wait()\n"
        "    while True:\n"
        "        model(x)\n"
        "for _ in range(3):\n"
        "    threading.Thread(target=work, daemon=True).start()\n"
        "started.wait()\n"
        "time.sleep(0.2)\n"
    )
    assert (result.returncode, result.stderr) == (0, "")
