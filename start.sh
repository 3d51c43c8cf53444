while [ $(date +%H%M) -lt 1938 ]; do sleep 1; done
export OMP_NUM_THREADS=1
cd /tmp/rivals
nice -n 5 python part.py p1.json bayesian-5 bayesian-7 bayesian-9 bayesian-15 bayesian-17 bayesian-19 > p1.log 2>&1 &
echo $! > p1.pid
nice -n 5 python part.py p2.json bayesian-6 bayesian-8 bayesian-14 bayesian-16 bayesian-18 > p2.log 2>&1 &
echo $! > p2.pid
wait
